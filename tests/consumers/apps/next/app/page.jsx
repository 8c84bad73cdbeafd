import { createClient, unwrap } from 'taskwell-client'
import { Tasks } from './tasks'

export default async function Page() {
  const { status } = await unwrap(createClient(process.env.NEXT_PUBLIC_API).health.get())
  return (
    <main>
      <h1>{status}</h1>
      <Tasks />
    </main>
  )
}
