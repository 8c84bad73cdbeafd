/** A page of React that uses the client's hooks, as a bundler makes it for browsers. */
import { createElement, StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { createClient } from '../../src/client/index'
import { useSession, useTasks } from '../../src/client/react'

const api = new URL(location.href).searchParams.get('api') ?? ''
const client = createClient(api, { storage: 'localStorage' })
/** The titles of each render. */
const rendered: string[] = []
Object.assign(globalThis, { client, rendered })

function Who() {
  const { status, user, reason } = useSession(client)
  return createElement('p', { id: 'who' }, [status, user?.email, reason].filter(Boolean).join(' '))
}

function List({ id }: { id: string }) {
  const { tasks, status } = useTasks(client)
  rendered.push(tasks.map(({ title }) => title).join())
  const items = tasks.map((task) => createElement('li', { key: task.id }, task.title))
  return createElement('section', { id }, createElement('h1', null, status), createElement('ul', null, items))
}

function App() {
  const [isShown, show] = useState(true)
  const toggle = createElement('button', { type: 'button', onClick: () => show(!isShown) }, 'toggle')
  const lists = isShown ? ['one', 'other'].map((id) => createElement(List, { key: id, id })) : []
  return createElement('main', null, createElement(Who), toggle, ...lists)
}

createRoot(document.body).render(createElement(StrictMode, null, createElement(App)))
