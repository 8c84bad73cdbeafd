/** The operations on conversations: their input, their answers and their documentation. */
import { t } from 'elysia'
import { OWNER_PROBLEMS } from '../auth/guard'
import { BODY_PROBLEMS } from '../http/body'
import { input } from '../http/input'
import { operation } from '../http/operation'
import { problems } from '../http/problems'
import { OwnerParams } from '../tasks/model'
import {
  ChatMessage,
  ChatReply,
  ConversationParams,
  Conversations,
  ConversationsQuery,
  Messages,
  MessagesQuery,
} from './model'

const tag = 'Assistant'

const ALL_PROBLEMS = [...OWNER_PROBLEMS, 'VALIDATION_ERROR'] as const
const CONVERSATION_PROBLEMS = [...ALL_PROBLEMS, 'CONVERSATION_NOT_FOUND'] as const

export const chat = {
  ...input({ params: OwnerParams, body: ChatMessage }),
  response: {
    200: ChatReply,
    ...problems(...CONVERSATION_PROBLEMS, ...BODY_PROBLEMS, 'ASSISTANT_OFF', 'ASSISTANT_UNAVAILABLE'),
  },
  detail: operation({
    id: 'chat',
    tag,
    summary: 'Ask the assistant',
    description:
      'The assistant works on the tasks of the caller and says what it has done. Deleted tasks are in the trash. With ' +
      '`Accept: text/event-stream` the answer is the UI message stream of the AI SDK, which `useChat` reads.',
    slow: true,
  }),
}

export const listConversations = {
  ...input({ params: OwnerParams, query: ConversationsQuery }),
  response: { 200: Conversations, ...problems(...ALL_PROBLEMS) },
  detail: operation({
    id: 'listConversations',
    tag,
    summary: 'List conversations',
    description: 'The newest first. If there are more, the header `Link` leads to the next page.',
  }),
}

export const listMessages = {
  ...input({ params: ConversationParams, query: MessagesQuery }),
  response: { 200: Messages, ...problems(...CONVERSATION_PROBLEMS) },
  detail: operation({
    id: 'listMessages',
    tag,
    summary: 'Read a conversation',
    description:
      'The oldest message first, unless `order` says otherwise. The conversation of another user gets the same answer as one that does not exist.',
  }),
}

export const deleteConversation = {
  ...input({ params: ConversationParams }),
  response: { 204: t.Void(), ...problems(...CONVERSATION_PROBLEMS) },
  detail: operation({
    id: 'deleteConversation',
    tag,
    summary: 'Delete a conversation',
    description: 'For good, with its messages; the tasks stay. A second `DELETE` answers 404.',
    repeatable: 'always',
  }),
}
