/** A page with a chat of the AI SDK, written as docs/assistants.md shows it. */
import { useChat } from '@ai-sdk/react'
import { DefaultChatTransport, isToolUIPart, type UIMessage } from 'ai'
import { createElement, StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'

type Message = UIMessage<{ conversation_id?: number }>

let conversationId: number | null = null
const given = new URL(location.href).searchParams

const transport = new DefaultChatTransport<Message>({
  api: `${given.get('api')}/api/v1/chat`,
  headers: () => ({ Accept: 'text/event-stream', Authorization: `Bearer ${given.get('token')}` }),
  prepareSendMessagesRequest: ({ messages }) => ({
    body: {
      conversation_id: conversationId,
      message: messages
        .at(-1)
        ?.parts.map((part) => (part.type === 'text' ? part.text : ''))
        .join(''),
    },
  }),
})

function Said({ message }: { message: Message }) {
  const parts = message.parts.map((part) => {
    if (part.type === 'text') return part.text
    if (isToolUIPart(part)) return `[${part.type} ${part.state} ${JSON.stringify(part.output)}]`
    return ''
  })
  return createElement('li', { className: message.role }, parts.join(''))
}

function Chat() {
  const { messages, sendMessage, regenerate, stop, status, error } = useChat<Message>({
    transport,
    onFinish: ({ message }) => {
      conversationId = message.metadata?.conversation_id ?? conversationId
    },
    onError: ({ message }) => {
      if (message.startsWith('{')) conversationId = JSON.parse(message).conversation_id ?? conversationId
    },
  })
  const [text, setText] = useState('')
  const send = () => {
    void sendMessage({ text })
    setText('')
  }
  const button = (title: string, onClick: () => void) =>
    createElement('button', { type: 'button', onClick }, title)
  return createElement(
    'main',
    null,
    createElement('h1', null, status),
    createElement('p', { id: 'error' }, error?.message),
    createElement(
      'ol',
      null,
      messages.map((message) => createElement(Said, { key: message.id, message })),
    ),
    createElement('input', {
      value: text,
      onChange: (event: { target: { value: string } }) => setText(event.target.value),
    }),
    button('Send', send),
    button('Stop', () => void stop()),
    button('Again', () => void regenerate()),
  )
}

createRoot(document.body).render(createElement(StrictMode, null, createElement(Chat)))
