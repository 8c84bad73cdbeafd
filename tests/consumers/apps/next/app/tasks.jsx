'use client'
import { createClient } from 'taskwell-client'
import { useSession, useTasks } from 'taskwell-client/react'

const client = createClient(process.env.NEXT_PUBLIC_API, { storage: 'localStorage' })

export function Tasks() {
  const { status } = useSession(client)
  const { tasks } = useTasks(client)
  return <p>{`${status}, ${tasks.length} tasks`}</p>
}
