/** The schemas of conversations with the assistant. */
import { t } from 'elysia'
import { withHeaders } from '../http/operation'
import {
  Id,
  idInPath,
  integer,
  Limit,
  Moment,
  namedObject,
  nullable,
  oneOf,
  POSITIVE,
  strict,
  text,
} from '../http/schemas'
import { content } from '../tasks/fields'
import { UserId } from '../tasks/model'

const ToolCall = namedObject(
  'ToolCall',
  {
    tool: t.String({ description: 'Its name, as the model has given it' }),
    arguments: t.Unsafe<Record<string, unknown>>(t.Object({}, { additionalProperties: true })),
    result: t.Unsafe<Record<string, unknown>>(
      t.Object({}, { additionalProperties: true, description: 'What it has given, or `error` and why' }),
    ),
  },
  { description: 'What the assistant has done' },
)
export type ToolCall = typeof ToolCall.static

const toolCalls = t.Array(ToolCall, { description: 'In the order in which they were run' })

export const ChatMessage = namedObject(
  'ChatMessage',
  {
    conversation_id: t.Optional(
      nullable(Id, {
        rule: 'must be a positive whole number, or null',
        description: 'Of an earlier answer; left out or `null`: a new conversation begins',
      }),
    ),
    time_zone: t.Optional(content.time_zone),
    message: text('chat-message', { min: 1, max: 4000, notBlank: true, description: 'For the assistant' }),
  },
  { description: 'A message to the assistant', examples: [{ message: 'Add a task to buy milk' }] },
)
export type ChatMessage = typeof ChatMessage.static

export const ChatAnswer = namedObject(
  'ChatAnswer',
  {
    conversation_id: integer(POSITIVE),
    response: t.String({ description: 'What the assistant says' }),
    tool_calls: toolCalls,
  },
  {
    description: 'The answer of the assistant',
    examples: [
      {
        conversation_id: 3,
        response: 'I have added "Buy milk".',
        tool_calls: [
          {
            tool: 'add_task',
            arguments: { title: 'Buy milk' },
            result: { task_id: 42, status: 'created', title: 'Buy milk' },
          },
        ],
      },
    ],
  },
)
export type ChatAnswer = typeof ChatAnswer.static

/** A client that accepts this media type gets the answer as it is made: the AI SDK's UI message stream. */
export const STREAM_TYPE = 'text/event-stream'

/** `t.Any`, because the answer may also be a stream. The type is the object alone: the typed client never asks for a stream. */
export const ChatReply = t.Unsafe<ChatAnswer>(
  t.Any({ mediaTypes: { 'application/json': ChatAnswer, [STREAM_TYPE]: t.String() } }),
)

export const Conversation = namedObject(
  'Conversation',
  {
    id: integer(POSITIVE),
    user_id: t.String({ description: 'The owner: the subject of the token' }),
    title: t.String({ description: 'How the first message begins' }),
    created_at: Moment,
    updated_at: t.String({ documented: { ...Moment['documented'], description: 'Of the last message' } }),
  },
  {
    description: 'A conversation with the assistant',
    examples: [
      {
        id: 3,
        user_id: '0198c1d2-7a5e-7c3b-9f10-2b1d6c5a4e3f',
        title: 'Add a task to buy milk',
        created_at: '2026-01-15T09:30:00.000Z',
        updated_at: '2026-01-15T09:30:04.000Z',
      },
    ],
  },
)
export type Conversation = typeof Conversation.static

export const Message = namedObject(
  'Message',
  {
    id: integer(POSITIVE),
    conversation_id: integer(POSITIVE),
    role: oneOf(['user', 'assistant']),
    content: t.String(),
    tool_calls: toolCalls,
    created_at: Moment,
  },
  { description: 'A message of a conversation' },
)
export type Message = typeof Message.static

export const Conversations = withHeaders(t.Array(Conversation), 'Link')
export const Messages = withHeaders(t.Array(Message), 'Link')

const Cursor = t.String({
  maxLength: 4096,
  rule: 'must be a cursor of this list',
  description: 'From the `Link` header of the previous page',
})

export const ConversationsQuery = t.Object({ limit: t.Optional(Limit), cursor: t.Optional(Cursor) }, strict)
export type ConversationsQuery = typeof ConversationsQuery.static

export const MessagesQuery = t.Object(
  {
    limit: t.Optional(Limit),
    cursor: t.Optional(Cursor),
    order: t.Optional(oneOf(['asc', 'desc'], 'Oldest first (`asc`) by default')),
  },
  strict,
)
export type MessagesQuery = typeof MessagesQuery.static

export const ConversationParams = t.Object({ user_id: UserId, id: idInPath("The conversation's id") }, strict)
