/** A call for each route. Made by `bun run client:routes` from the server's routes: do not edit. */
import type { Events, Options, Reply } from './answer'
import type {
  AccountDeletion,
  AccountUpdate,
  ApiToken,
  ApiTokenCreate,
  Batch,
  BatchResults,
  Changes,
  ChatAnswer,
  ChatMessage,
  Conversation,
  Credentials,
  DeleteListQuery,
  DeleteTaskQuery,
  EventTicket,
  Health,
  List,
  ListConversationsQuery,
  ListCreate,
  ListMessagesQuery,
  ListTasksQuery,
  ListTrashQuery,
  ListUpdate,
  Message,
  Move,
  NewApiToken,
  PasswordChange,
  ReadChangesQuery,
  Ready,
  RefreshToken,
  Registration,
  Session,
  StreamEventsQuery,
  Tag,
  TagChange,
  TagRename,
  Task,
  TaskCompletion,
  TaskCreate,
  TaskUpdate,
  Tokens,
  TrashedTask,
  User,
} from './schemas'

export interface HealthCalls {
  /** Is the process alive. Answers whatever the database does. */
  get(options?: Options<undefined, never>): Reply<Health, 'VALIDATION_ERROR' | 'INTERNAL_ERROR'>
}

export interface ReadyCalls {
  /** Can it serve requests. Asks the database whether it has the schema, and waits for its answer at most a second. */
  get(
    options?: Options<undefined, never>,
  ): Reply<Ready, 'VALIDATION_ERROR' | 'INTERNAL_ERROR' | 'DATABASE_UNAVAILABLE' | 'SHUTTING_DOWN'>
}

export interface TrashCalls {
  /** List deleted tasks. Newest deletion first, in pages like the list of tasks. A deleted task that changes with its tag or its list comes first again. */
  get(
    options?: Options<ListTrashQuery, never>,
  ): Reply<
    TrashedTask[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface BatchCalls {
  /** Change several tasks at once. All operations are done, in their order, or none. A problem is that of the first operation that fails, and points to it. Counts as its number of operations under the rate limit. */
  post(
    body: Batch,
    options?: Options<undefined, 'idempotency-key'>,
  ): Reply<
    BatchResults,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'IDEMPOTENCY_KEY_REUSED'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface CompleteCalls {
  /** Complete a task, or take it back. Without a body it toggles. With a body it sets the value, so that a retry is safe. */
  patch(
    body?: TaskCompletion | undefined,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    Task,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface MoveCalls {
  /** Move a task. Changes the `position` of this task alone, which `sort=position` sorts by. */
  post(
    body: Move,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    Task,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface RestoreCalls {
  /** Restore a task from the trash. A task that is not in the trash is answered as it is. */
  post(
    body?: undefined,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    Task,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'PRECONDITION_FAILED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TodosByIdCalls {
  complete: CompleteCalls
  move: MoveCalls
  restore: RestoreCalls
  /** Read a task. The task of another user gets the same answer as a task that does not exist. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    Task,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Change a task, as PATCH does. The same as `PATCH`: a field that is left out keeps its value. */
  put(
    body: TaskUpdate,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    Task,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Change a task. Changes only the fields that are sent; `null` clears the description. */
  patch(
    body: TaskUpdate,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    Task,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Delete a task. Moves the task to the trash, from which it can be restored for some weeks. A second `DELETE` answers 404. With `permanent=true` the task is deleted at once, also from the trash. */
  delete(
    body?: undefined,
    options?: Options<DeleteTaskQuery, 'if-match'>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TASK_NOT_FOUND'
    | 'PRECONDITION_FAILED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TicketCalls {
  /** Get a ticket for a stream of events. For a browser's `EventSource`, which cannot send a token. A ticket opens one stream of events within a minute, and nothing else. The stream ends when the token of this request expires. */
  post(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    EventTicket,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface EventsCalls {
  ticket: TicketCalls
  /** Follow changes as they happen. Server-sent events: each `data` is a change, and its `id` the cursor after it. An event named `reminder` is a reminder that has just fallen due, and has no `id`. The stream begins after `Last-Event-ID` or `since`, or now, and ends when the token expires. A user has at most 20 streams. A browser's `EventSource` sends no token: it gets a `ticket` for each stream. */
  get(
    options?: Options<StreamEventsQuery, 'last-event-id'>,
  ): Reply<
    Events,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'TICKET_INVALID'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'CURSOR_EXPIRED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
    | 'SHUTTING_DOWN'
  >
}

export interface ChangesCalls {
  /** Read what has changed. In the order of the changes: a client that applies page after page has the same tasks as the server, even if tasks change meanwhile. Without `since`, the answer begins with all present tasks. Deletions are forgotten after some weeks; an older cursor then gets 410, and the client starts anew. */
  get(
    options?: Options<ReadChangesQuery, never>,
  ): Reply<
    Changes,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'CURSOR_EXPIRED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TodosCalls {
  trash: TrashCalls
  batch: BatchCalls
  (params: { id: string | number }): TodosByIdCalls
  events: EventsCalls
  changes: ChangesCalls
  /** List tasks. Newest first, unless `sort` and `order` say otherwise. If there are more, the header `Link` leads to the next page. With `Accept: application/vnd.taskwell.page+json` the answer is a page object instead of an array. */
  get(
    options?: Options<ListTasksQuery, never>,
  ): Reply<
    Task[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Create a task. A user's first write also creates the user: a valid token is enough to begin. With an `Idempotency-Key`, the same request within 24 hours gets the first answer again. */
  post(
    body: TaskCreate,
    options?: Options<undefined, 'idempotency-key'>,
  ): Reply<
    Task,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'IDEMPOTENCY_KEY_REUSED'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface Move12Calls {
  /** Move a list. Changes the `position` of this list alone. */
  post(
    body: Move,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    List,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'LIST_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface ListsByIdCalls {
  move: Move12Calls
  /** Read a list. The list of another user gets the same answer as a list that does not exist. `open_count` is not part of the ETag. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    List,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'LIST_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Change a list. Changes only the fields that are sent; `null` clears the colour. */
  patch(
    body: ListUpdate,
    options?: Options<undefined, 'if-match'>,
  ): Reply<
    List,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'LIST_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PRECONDITION_FAILED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Delete a list. For good. Its tasks go to the inbox, or with `tasks=trash` to the trash, with their steps. A second `DELETE` answers 404. */
  delete(
    body?: undefined,
    options?: Options<DeleteListQuery, 'if-match'>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'LIST_NOT_FOUND'
    | 'PRECONDITION_FAILED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface ListsCalls {
  (params: { id: string | number }): ListsByIdCalls
  /** List the lists. All of them, archived ones too, as the user has arranged them. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    List[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Create a list. A new list comes last. A user has at most 500. With an `Idempotency-Key`, the same request within 24 hours gets the first answer again. */
  post(
    body: ListCreate,
    options?: Options<undefined, 'idempotency-key'>,
  ): Reply<
    List,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'REQUEST_TIMEOUT'
    | 'TOO_MANY'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'IDEMPOTENCY_KEY_REUSED'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TagsByNameCalls {
  /** Rename a tag, or merge it into another one. Changes all tasks that have the tag, those in the trash too. The name in the path may be in any case. If there is a tag of the new name, its spelling stays; if only the case is another, the spelling changes. */
  patch(
    body: TagRename,
    options?: Options<undefined, never>,
  ): Reply<
    TagChange,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TAG_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Take a tag from all tasks. Also from those in the trash. A second `DELETE` answers 404. */
  delete(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    TagChange,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'TAG_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TagsCalls {
  (params: { name: string | number }): TagsByNameCalls
  /** List tags. In alphabetical order: those of tasks that are not in the trash. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    Tag[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface ChatCalls {
  /** Ask the assistant. The assistant works on the tasks of the caller and says what it has done. Deleted tasks are in the trash. With `Accept: text/event-stream` the answer is the UI message stream of the AI SDK, which `useChat` reads. */
  post(
    body: ChatMessage,
    options?: Options<undefined, never>,
  ): Reply<
    ChatAnswer,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'CONVERSATION_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
    | 'ASSISTANT_OFF'
    | 'ASSISTANT_UNAVAILABLE'
  >
}

export interface MessagesCalls {
  /** Read a conversation. The oldest message first, unless `order` says otherwise. The conversation of another user gets the same answer as one that does not exist. */
  get(
    options?: Options<ListMessagesQuery, never>,
  ): Reply<
    Message[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'CONVERSATION_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface ConversationsByIdCalls {
  messages: MessagesCalls
  /** Delete a conversation. For good, with its messages; the tasks stay. A second `DELETE` answers 404. */
  delete(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'CONVERSATION_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface ConversationsCalls {
  (params: { id: string | number }): ConversationsByIdCalls
  /** List conversations. The newest first. If there are more, the header `Link` leads to the next page. */
  get(
    options?: Options<ListConversationsQuery, never>,
  ): Reply<
    Conversation[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'OWNER_MISMATCH'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TokensByIdCalls {
  /** End a token for a program. It is refused from now on, and its streams of events end. A second `DELETE` answers 404. */
  delete(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'TOKEN_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface TokensCalls {
  (params: { id: string | number }): TokensByIdCalls
  /** List the tokens for programs. The newest first. Expired ones are listed for 30 days. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    ApiToken[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Make a token for a program. For scripts, integrations and assistants: good for tasks, lists, tags, changes, events and `/mcp`, and for nothing else. The answer is the only one that holds the token. A user has at most 50 that have not expired. */
  post(
    body: ApiTokenCreate,
    options?: Options<undefined, never>,
  ): Reply<
    NewApiToken,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'REQUEST_TIMEOUT'
    | 'TOO_MANY'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface PasswordCalls {
  /** Change the password. Ends all sessions except this one, and with `end_tokens` all tokens for programs. */
  post(
    body: PasswordChange,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'WRONG_PASSWORD'
    | 'ACCOUNT_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface SessionsByIdCalls {
  /** Sign out somewhere. The session of another user gets the same answer as one that does not exist. Access tokens of the session work until they expire, but not for the account. */
  delete(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'ACCOUNT_NOT_FOUND'
    | 'SESSION_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface SessionsCalls {
  (params: { id: string | number }): SessionsByIdCalls
  /** List where one is signed in. The session that was used last comes first. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    Session[],
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'ACCOUNT_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Sign out everywhere else. Ends all sessions except the one of this request. */
  delete(
    body?: undefined,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'ACCOUNT_NOT_FOUND'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface MeCalls {
  password: PasswordCalls
  sessions: SessionsCalls
  /** Read oneself. For a user of another issuer, only the id and the time of the first write are known. */
  get(
    options?: Options<undefined, never>,
  ): Reply<
    User,
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Delete oneself. Deletes the user and everything that the user owns, for good. An account needs its password; a user of another issuer has none. Tokens issued until now are refused from now on. */
  delete(
    body?: AccountDeletion | undefined,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'WRONG_PASSWORD'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
  /** Change name or e-mail address. A new e-mail address needs the current password and ends all other sessions. */
  patch(
    body: AccountUpdate,
    options?: Options<undefined, never>,
  ): Reply<
    User,
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'INSUFFICIENT_SCOPE'
    | 'WRONG_PASSWORD'
    | 'ACCOUNT_NOT_FOUND'
    | 'REQUEST_TIMEOUT'
    | 'EMAIL_TAKEN'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'KEYS_UNAVAILABLE'
    | 'OVERLOADED'
    | 'DATABASE_UNAVAILABLE'
  >
}

export interface UsersCalls {
  me: MeCalls
}

export interface RegisterCalls {
  /** Sign up. Creates an account and signs it in. */
  post(
    body: Registration,
    options?: Options<undefined, never>,
  ): Reply<
    Tokens,
    | 'MALFORMED_JSON'
    | 'REQUEST_TIMEOUT'
    | 'EMAIL_TAKEN'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'DATABASE_UNAVAILABLE'
    | 'OVERLOADED'
  >
}

export interface LoginCalls {
  /** Sign in. An unknown address gets the same answer as a wrong password, after the same time. */
  post(
    body: Credentials,
    options?: Options<undefined, never>,
  ): Reply<
    Tokens,
    | 'MALFORMED_JSON'
    | 'INVALID_CREDENTIALS'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'DATABASE_UNAVAILABLE'
    | 'OVERLOADED'
  >
}

export interface RefreshCalls {
  /** Get new tokens. A refresh token can be used once. Because an answer may be lost, it gives one more pair of tokens if it is sent again within ten seconds. Later, it ends the session. */
  post(
    body: RefreshToken,
    options?: Options<undefined, never>,
  ): Reply<
    Tokens,
    | 'MALFORMED_JSON'
    | 'TOKEN_INVALID'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'DATABASE_UNAVAILABLE'
    | 'OVERLOADED'
  >
}

export interface LogoutCalls {
  /** Sign out. Ends the token's session. An unknown or expired token is no error. */
  post(
    body: RefreshToken,
    options?: Options<undefined, never>,
  ): Reply<
    '',
    | 'MALFORMED_JSON'
    | 'REQUEST_TIMEOUT'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'DATABASE_UNAVAILABLE'
    | 'OVERLOADED'
  >
}

export interface AuthCalls {
  register: RegisterCalls
  login: LoginCalls
  refresh: RefreshCalls
  logout: LogoutCalls
}

export interface V1Calls {
  todos: TodosCalls
  lists: ListsCalls
  tags: TagsCalls
  chat: ChatCalls
  conversations: ConversationsCalls
  tokens: TokensCalls
  users: UsersCalls
  auth: AuthCalls
}

export interface ApiByUserIdCalls {
  tasks: TodosCalls
  lists: ListsCalls
  tags: TagsCalls
  chat: ChatCalls
  conversations: ConversationsCalls
}

export interface ApiCalls {
  v1: V1Calls
  (params: { user_id: string | number }): ApiByUserIdCalls
}

export interface AllCalls {
  health: HealthCalls
  ready: ReadyCalls
  api: ApiCalls
}
