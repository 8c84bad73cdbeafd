/** The types of the server's schemas. Made by `bun run client:routes` from the server's routes: do not edit. */

/** The status of each problem. */
export interface StatusOf {
  MALFORMED_JSON: 400
  TOKEN_MISSING: 401
  TOKEN_EXPIRED: 401
  TOKEN_INVALID: 401
  TOKEN_NOT_JWT: 401
  TICKET_INVALID: 401
  INVALID_CREDENTIALS: 401
  OWNER_MISMATCH: 403
  INSUFFICIENT_SCOPE: 403
  ORIGIN_NOT_ALLOWED: 403
  WRONG_PASSWORD: 403
  ACCOUNT_NOT_FOUND: 404
  SESSION_NOT_FOUND: 404
  TASK_NOT_FOUND: 404
  LIST_NOT_FOUND: 404
  TOKEN_NOT_FOUND: 404
  TAG_NOT_FOUND: 404
  CONVERSATION_NOT_FOUND: 404
  NOT_FOUND: 404
  METHOD_NOT_ALLOWED: 405
  EMAIL_TAKEN: 409
  TOO_MANY: 409
  REQUEST_TIMEOUT: 408
  CURSOR_EXPIRED: 410
  PRECONDITION_FAILED: 412
  PAYLOAD_TOO_LARGE: 413
  UNSUPPORTED_MEDIA_TYPE: 415
  IDEMPOTENCY_KEY_REUSED: 422
  VALIDATION_ERROR: 422
  RATE_LIMITED: 429
  INTERNAL_ERROR: 500
  DATABASE_UNAVAILABLE: 503
  KEYS_UNAVAILABLE: 503
  ASSISTANT_OFF: 503
  ASSISTANT_UNAVAILABLE: 503
  OVERLOADED: 503
  SHUTTING_DOWN: 503
}

/** What went wrong (RFC 9457) */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  error_code:
    | 'MALFORMED_JSON'
    | 'TOKEN_MISSING'
    | 'TOKEN_EXPIRED'
    | 'TOKEN_INVALID'
    | 'TOKEN_NOT_JWT'
    | 'TICKET_INVALID'
    | 'INVALID_CREDENTIALS'
    | 'OWNER_MISMATCH'
    | 'INSUFFICIENT_SCOPE'
    | 'ORIGIN_NOT_ALLOWED'
    | 'WRONG_PASSWORD'
    | 'ACCOUNT_NOT_FOUND'
    | 'SESSION_NOT_FOUND'
    | 'TASK_NOT_FOUND'
    | 'LIST_NOT_FOUND'
    | 'TOKEN_NOT_FOUND'
    | 'TAG_NOT_FOUND'
    | 'CONVERSATION_NOT_FOUND'
    | 'NOT_FOUND'
    | 'METHOD_NOT_ALLOWED'
    | 'EMAIL_TAKEN'
    | 'TOO_MANY'
    | 'REQUEST_TIMEOUT'
    | 'CURSOR_EXPIRED'
    | 'PAYLOAD_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'IDEMPOTENCY_KEY_REUSED'
    | 'VALIDATION_ERROR'
    | 'RATE_LIMITED'
    | 'INTERNAL_ERROR'
    | 'DATABASE_UNAVAILABLE'
    | 'KEYS_UNAVAILABLE'
    | 'ASSISTANT_OFF'
    | 'ASSISTANT_UNAVAILABLE'
    | 'OVERLOADED'
    | 'SHUTTING_DOWN'
  /** Repeats `status` */
  status_code: number
  /** Repeats the header `X-Request-Id` */
  request_id: string
  /** One entry for each field at fault */
  errors?: {
    in: 'body' | 'query' | 'path' | 'header'
    /** A JSON Pointer into the body, or the name of the parameter */
    pointer: string
    detail: string
  }[]
  /** With `ASSISTANT_UNAVAILABLE`: the conversation that has the message */
  conversation_id?: number
}

/** A user; a field is `null` if it is not known, as for a user of another issuer */
export interface User {
  /** The subject of the user's tokens */
  id: string
  email: string | null
  name: string | null
  created_at: string | null
}

/** A signed-in user (RFC 6749 section 5.1) */
export interface Tokens {
  /** For `Authorization: Bearer <access_token>` */
  access_token: string
  token_type: 'bearer'
  /** How long the access token is valid, in seconds */
  expires_in: number
  /** Good for one call of `refresh`, for 30 days */
  refresh_token: string
  user: User
}

/** A new account */
export interface Registration {
  /** Kept as sent, compared without case */
  email: string
  /** Neither the e-mail address nor one of the hundred most common passwords */
  password: string
  name?: string | null | undefined
}

/** An e-mail address and its password */
export interface Credentials {
  /** Kept as sent, compared without case */
  email: string
  /** The password of the account */
  password: string
}

/** The newest token from `register`, `login` or `refresh` */
export interface RefreshToken {
  refresh_token: string
}

/** The fields to change; a new e-mail address needs the current password */
export interface AccountUpdate {
  name?: string | null | undefined
  /** Kept as sent, compared without case */
  email?: string | undefined
  /** The password of the account */
  current_password?: string | undefined
}

/** The current password and the new one */
export interface PasswordChange {
  /** The password of the account */
  current_password: string
  /** Neither the e-mail address nor one of the hundred most common passwords */
  new_password: string
  /** Also ends all tokens for programs */
  end_tokens?: boolean | undefined
}

/** The account's password; users of another issuer have none */
export interface AccountDeletion {
  /** The password of the account */
  password?: string | undefined
}

/** A session in which the caller is signed in */
export interface Session {
  id: string
  created_at: string
  /** When the session last got new tokens */
  last_used_at: string
  user_agent: string | null
  /** Whether this request belongs to the session */
  current: boolean
}

/** A task */
export interface Task {
  id: number
  /** The owner: the subject of the token */
  user_id: string
  /** Kept as sent, untrimmed */
  title: string
  description: string | null
  completed: boolean
  priority: 'high' | 'medium' | 'low' | null
  due_date: string | null
  due_time: string | null
  time_zone: string | null
  /** Minutes before the due moment; of a day without a time, before 00:00. Needs `due_date` and `time_zone` */
  reminders: number[]
  repeat: string | null
  /** Whether the next day is counted from the due day or from the day of completion */
  repeat_from: 'due' | 'completion'
  /** Names differ if they differ without case; answers have them in alphabetical order */
  tags: string[]
  /** A list of the user; `null`: the inbox */
  list_id: number | null
  /** The task that this is a step of; that one is no step */
  parent_id: number | null
  /** When it was completed */
  completed_at: string | null
  /** The moment of `due_date` and `due_time` in the time zone */
  due_at: string | null
  /** Sorts tasks, byte by byte, as the user has arranged them */
  position: string
  /** The task that followed this one when it was completed: its repetition */
  next_id: number | null
  created_at: string
  updated_at: string
  /** The owner's count of changes when this task last changed */
  revision: number
}

/** What went wrong (RFC 9457) */
export interface TaskChanged {
  type: string
  title: string
  status: number
  detail: string
  error_code: 'PRECONDITION_FAILED'
  /** Repeats `status` */
  status_code: number
  /** Repeats the header `X-Request-Id` */
  request_id: string
  /** One entry for each field at fault */
  errors?: {
    in: 'body' | 'query' | 'path' | 'header'
    /** A JSON Pointer into the body, or the name of the parameter */
    pointer: string
    detail: string
  }[]
  /** With `ASSISTANT_UNAVAILABLE`: the conversation that has the message */
  conversation_id?: number
  current: Task
}

/** A task in the trash */
export interface TrashedTask {
  id: number
  /** The owner: the subject of the token */
  user_id: string
  /** Kept as sent, untrimmed */
  title: string
  description: string | null
  completed: boolean
  priority: 'high' | 'medium' | 'low' | null
  due_date: string | null
  due_time: string | null
  time_zone: string | null
  /** Minutes before the due moment; of a day without a time, before 00:00. Needs `due_date` and `time_zone` */
  reminders: number[]
  repeat: string | null
  /** Whether the next day is counted from the due day or from the day of completion */
  repeat_from: 'due' | 'completion'
  /** Names differ if they differ without case; answers have them in alphabetical order */
  tags: string[]
  /** A list of the user; `null`: the inbox */
  list_id: number | null
  /** The task that this is a step of; that one is no step */
  parent_id: number | null
  /** When it was completed */
  completed_at: string | null
  /** The moment of `due_date` and `due_time` in the time zone */
  due_at: string | null
  /** Sorts tasks, byte by byte, as the user has arranged them */
  position: string
  /** The task that followed this one when it was completed: its repetition */
  next_id: number | null
  created_at: string
  updated_at: string
  /** The owner's count of changes when this task last changed */
  revision: number
  deleted_at: string
}

/** A new task */
export interface TaskCreate {
  /** Kept as sent, untrimmed */
  title: string
  description?: string | null | undefined
  completed?: boolean | undefined
  priority?: 'high' | 'medium' | 'low' | null | undefined
  due_date?: string | null | undefined
  due_time?: string | null | undefined
  time_zone?: string | null | undefined
  /** Minutes before the due moment; of a day without a time, before 00:00. Needs `due_date` and `time_zone` */
  reminders?: number[] | undefined
  repeat?: string | null | undefined
  /** Whether the next day is counted from the due day or from the day of completion */
  repeat_from?: 'due' | 'completion' | undefined
  /** Names differ if they differ without case; answers have them in alphabetical order */
  tags?: string[] | undefined
  /** A list of the user; `null`: the inbox */
  list_id?: number | null | undefined
  /** The task that this is a step of; that one is no step */
  parent_id?: number | null | undefined
}

/** The fields to change; a field that is left out keeps its value */
export interface TaskUpdate {
  /** Kept as sent, untrimmed */
  title?: string | undefined
  description?: string | null | undefined
  completed?: boolean | undefined
  priority?: 'high' | 'medium' | 'low' | null | undefined
  due_date?: string | null | undefined
  due_time?: string | null | undefined
  time_zone?: string | null | undefined
  /** Minutes before the due moment; of a day without a time, before 00:00. Needs `due_date` and `time_zone` */
  reminders?: number[] | undefined
  repeat?: string | null | undefined
  /** Whether the next day is counted from the due day or from the day of completion */
  repeat_from?: 'due' | 'completion' | undefined
  /** Names differ if they differ without case; answers have them in alphabetical order */
  tags?: string[] | undefined
  /** A list of the user; `null`: the inbox */
  list_id?: number | null | undefined
  /** The task that this is a step of; that one is no step */
  parent_id?: number | null | undefined
}

/** Sets instead of toggling */
export interface TaskCompletion {
  completed: boolean
}

/** One of these: behind or before another one, or to the first or last place */
export type Move =
  | {
      after: number
    }
  | {
      before: number
    }
  | {
      to: 'first' | 'last'
    }

/** A page of tasks */
export interface TaskPage {
  tasks: Task[]
  /** How many tasks are in this page */
  count: number
  next_cursor: string | null
}

/** A page of the trash */
export interface TrashPage {
  tasks: TrashedTask[]
  /** How many tasks are in this page */
  count: number
  next_cursor: string | null
}

/** What the assistant has done */
export interface ToolCall {
  /** Its name, as the model has given it */
  tool: string
  arguments: Record<string, unknown>
  /** What it has given, or `error` and why */
  result: Record<string, unknown>
}

/** A message to the assistant */
export interface ChatMessage {
  /** Of an earlier answer; left out or `null`: a new conversation begins */
  conversation_id?: number | null | undefined
  time_zone?: string | null | undefined
  /** For the assistant */
  message: string
}

/** The answer of the assistant */
export interface ChatAnswer {
  conversation_id: number
  /** What the assistant says */
  response: string
  /** In the order in which they were run */
  tool_calls: ToolCall[]
}

/** A conversation with the assistant */
export interface Conversation {
  id: number
  /** The owner: the subject of the token */
  user_id: string
  /** How the first message begins */
  title: string
  created_at: string
  /** Of the last message */
  updated_at: string
}

/** A message of a conversation */
export interface Message {
  id: number
  conversation_id: number
  role: 'user' | 'assistant'
  content: string
  /** In the order in which they were run */
  tool_calls: ToolCall[]
  created_at: string
}

export interface CreateOperation {
  op: 'create'
  body: TaskCreate
}

export interface UpdateOperation {
  op: 'update'
  id: number
  /** Only if the task still has this revision */
  if_match?: number | undefined
  body: TaskUpdate
}

export interface CompleteOperation {
  op: 'complete'
  id: number
  /** Only if the task still has this revision */
  if_match?: number | undefined
  /** `true` if it is left out */
  completed?: boolean | undefined
}

export interface DeleteOperation {
  op: 'delete'
  id: number
  /** Only if the task still has this revision */
  if_match?: number | undefined
}

export interface RestoreOperation {
  op: 'restore'
  id: number
  /** Only if the task still has this revision */
  if_match?: number | undefined
}

/** Takes one of `after`, `before` and `to` */
export interface MoveOperation {
  op: 'move'
  id: number
  /** Only if the task still has this revision */
  if_match?: number | undefined
  after?: number | undefined
  before?: number | undefined
  to?: 'first' | 'last' | undefined
}

/** One change of a batch */
export type Operation =
  | CreateOperation
  | UpdateOperation
  | CompleteOperation
  | DeleteOperation
  | RestoreOperation
  | MoveOperation

/** Operations that are done in their order, all or none */
export interface Batch {
  operations: Operation[]
}

/** What the operations have made */
export interface BatchResults {
  /** In the same order; `null` for what was deleted */
  results: (Task | null)[]
}

/** A list of tasks */
export interface List {
  id: number
  /** The owner: the subject of the token */
  user_id: string
  /** Kept as sent, untrimmed */
  name: string
  /** Kept as sent; `null`: none */
  color: string | null
  archived: boolean
  /** Sorts lists, byte by byte, as the user has arranged them */
  position: string
  /** How many of its tasks, steps too, are open and not in the trash; not part of the revision */
  open_count: number
  created_at: string
  updated_at: string
  /** The owner's count of changes when this list last changed */
  revision: number
}

/** What went wrong (RFC 9457) */
export interface ListChanged {
  type: string
  title: string
  status: number
  detail: string
  error_code: 'PRECONDITION_FAILED'
  /** Repeats `status` */
  status_code: number
  /** Repeats the header `X-Request-Id` */
  request_id: string
  /** One entry for each field at fault */
  errors?: {
    in: 'body' | 'query' | 'path' | 'header'
    /** A JSON Pointer into the body, or the name of the parameter */
    pointer: string
    detail: string
  }[]
  /** With `ASSISTANT_UNAVAILABLE`: the conversation that has the message */
  conversation_id?: number
  current: List
}

/** A new list */
export interface ListCreate {
  /** Kept as sent, untrimmed */
  name: string
  /** Kept as sent; `null`: none */
  color?: string | null | undefined
  archived?: boolean | undefined
}

/** The fields to change; a field that is left out keeps its value */
export interface ListUpdate {
  /** Kept as sent, untrimmed */
  name?: string | undefined
  /** Kept as sent; `null`: none */
  color?: string | null | undefined
  archived?: boolean | undefined
}

export interface Health {
  status: 'healthy'
  service: 'taskwell'
  version: string
}

export interface Ready {
  status: 'ready'
}

/** A reminder of a task has fallen due */
export interface Reminder {
  task_id: number
  /** The due moment; of a day without a time, its beginning in the time zone */
  due_at: string
  /** Which of the reminders of the task: minutes before the due moment */
  minutes: number
}

/** A task was deleted */
export interface Tombstone {
  id: number
  revision: number
  deleted: true
}

/** A task as it is now, or the fact that it was deleted */
export type Change = Task | Tombstone

/** A page of changes, in their order */
export interface Changes {
  changes: Change[]
  /** The `since` of the next request: for more pages now, or for new changes later */
  cursor: string
  has_more: boolean
}

/** A ticket for a stream of events */
export interface EventTicket {
  /** Opens one stream: `GET …/events?ticket=<ticket>` */
  ticket: string
  /** How long the ticket is valid, in seconds */
  expires_in: number
}

/** A tag of tasks */
export interface Tag {
  name: string
  /** How many tasks have it that are not in the trash */
  count: number
}

/** The new name of a tag */
export interface TagRename {
  name: string
}

/** What came of it */
export interface TagChange {
  /** How many tasks were changed, those in the trash too */
  changed: number
}

/** A token for a program, without its secret */
export interface ApiToken {
  id: number
  /** What it is for; kept as sent */
  name: string
  /** `tasks:write` includes reading */
  scopes: ('tasks:read' | 'tasks:write')[]
  /** `null`: it does not expire */
  expires_at: string | null
  created_at: string
  /** Within ten minutes; `null`: not used yet */
  last_used_at: string | null
  /** The last four characters of the token */
  last_four: string
}

/** A token for a program, with its secret */
export interface NewApiToken {
  id: number
  /** What it is for; kept as sent */
  name: string
  /** `tasks:write` includes reading */
  scopes: ('tasks:read' | 'tasks:write')[]
  /** `null`: it does not expire */
  expires_at: string | null
  created_at: string
  /** Within ten minutes; `null`: not used yet */
  last_used_at: string | null
  /** The last four characters of the token */
  last_four: string
  /** For `Authorization: Bearer <token>`; it is shown only once */
  token: string
}

/** A new token */
export interface ApiTokenCreate {
  /** What it is for; kept as sent */
  name: string
  /** `tasks:write` includes reading */
  scopes: ('tasks:read' | 'tasks:write')[]
  expires_at?: string | null | undefined
}

export interface ListTasksQuery {
  /** Which tasks are listed; all by default */
  status?: 'all' | 'pending' | 'completed' | undefined
  /** Lists only tasks with this value */
  completed?: boolean | undefined
  /** One of these, such as `high,none` */
  priority?: ('high' | 'medium' | 'low' | 'none')[] | undefined
  /** All of these, such as `home,work` */
  tag?: string[] | undefined
  /** In this list; `none`: in the inbox */
  list_id?: number | 'none' | undefined
  /** Steps of this task; `none`: no steps */
  parent_id?: number | 'none' | undefined
  /** Whether it has a `due_date` */
  due?: 'any' | 'none' | undefined
  /** Due on this day or later */
  due_from?: string | undefined
  /** Due on this day or earlier */
  due_to?: string | undefined
  /** Whether it is open and its due moment, or the day in its time zone, has passed */
  overdue?: boolean | undefined
  /** Changed at this moment or later */
  updated_from?: string | undefined
  /** Each word occurs in the title or the description, whatever case and accents */
  q?: string | undefined
  /** By creation (the default), or another one; what has no due date or priority comes last */
  sort?: 'created' | 'title' | 'due' | 'priority' | 'updated' | 'position' | undefined
  /** Newest first, title, due date and position ascending, and high priority first (`desc`) by default */
  order?: 'asc' | 'desc' | undefined
  /** How many the answer has at most */
  limit?: number | undefined
  /** From the `Link` header of the previous page */
  cursor?: string | undefined
  /** How many tasks to skip; not with `cursor` */
  skip?: number | undefined
  /** The header `X-Total-Count` says how many tasks match the filter */
  count?: boolean | undefined
}

export interface ListTrashQuery {
  /** How many the answer has at most */
  limit?: number | undefined
  /** From the `Link` header of the previous page */
  cursor?: string | undefined
  /** How many tasks to skip; not with `cursor` */
  skip?: number | undefined
  /** The header `X-Total-Count` says how many tasks match the filter */
  count?: boolean | undefined
}

export interface DeleteTaskQuery {
  /** Deletes for good, also from the trash; otherwise the task goes to the trash */
  permanent?: boolean | undefined
}

export interface StreamEventsQuery {
  /** The `cursor` of the previous answer; left out: begins now */
  since?: string | undefined
  /** Instead of a token, for `EventSource`: from `POST …/events/ticket` */
  ticket?: string | undefined
}

export interface ReadChangesQuery {
  /** The `cursor` of the previous answer; left out: begins with all present tasks */
  since?: string | undefined
  /** How many changes the answer has at most */
  limit?: number | undefined
}

export interface DeleteListQuery {
  /** Where its tasks go: to the inbox (the default), or to the trash with their steps */
  tasks?: 'inbox' | 'trash' | undefined
}

export interface ListConversationsQuery {
  /** How many the answer has at most */
  limit?: number | undefined
  /** From the `Link` header of the previous page */
  cursor?: string | undefined
}

export interface ListMessagesQuery {
  /** How many the answer has at most */
  limit?: number | undefined
  /** From the `Link` header of the previous page */
  cursor?: string | undefined
  /** Oldest first (`asc`) by default */
  order?: 'asc' | 'desc' | undefined
}
