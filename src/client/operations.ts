/** What can be done to tasks without a connection: how each operation is shown, sent, and compared with what others did. */
import type { TasksCalls } from './calls'
import type { RequestError } from './errors'
import type { Move, MoveOperation, Operation, Task, TaskUpdate } from './schemas'

/** An operation that the server has not answered yet. */
export interface Waiting {
  /** Names it in all tabs. */
  key: string
  operation: Operation
  /** The task's. A new task has one below zero until the server has given it one. */
  id: number
  /** When the user did it. */
  at: string
  /** The newest revision that was known then: what the operation makes is newer. */
  newest: number
  /** The revision of the task that the user saw; undefined if the server has not told of the task. */
  seen?: number | undefined
  /** What the user saw of what counts for the operation; see `relevantOf`. */
  before?: TaskUpdate | undefined
  /** How many times the app has replaced it after a refusal. */
  conflicts: number
}

/** What the user sees, and what a `restore` would bring back. */
export interface Shown {
  task: Task | undefined
  trashed: Task | undefined
}

interface Sending {
  /** Sends a create once. */
  key: string
  /** The only revision that may be changed; undefined: any. */
  revision: number | undefined
  signal: AbortSignal
}

type Sent = Promise<{ data: Task | '' | null; error: RequestError | null; response: Response }>

interface Kind<Op> {
  send(todos: TasksCalls, operation: Op, options: ReturnType<typeof optionsOf>): Sent
  show(shown: Shown, operation: Op, made: { id: number; owner: string; at: string }): Shown
  /** The fields that it sets: another device's change of other fields is no conflict. Left out: of any field it is one. */
  fields?(operation: Op): TaskUpdate
  /** It does no harm to what another device has done. */
  isHarmless?: boolean
}

type Kinds = { [Op in Operation['op']]: Kind<Extract<Operation, { op: Op }>> }

/** A new operation of the server needs its place here. */
const KINDS: Kinds = {
  create: {
    send: (todos, { body }, options) => todos.post(body, options),
    show: ({ trashed }, { body }, { id, owner, at }) => ({
      task: {
        ...NEW,
        completed_at: body.completed ? at : null,
        ...defined(body),
        id,
        user_id: owner,
        created_at: at,
        updated_at: at,
      },
      trashed,
    }),
    fields: ({ body }) => body,
  },
  update: {
    send: (todos, { id, body }, options) => todos({ id }).patch(body, options),
    show: (shown, { body }) => withFields(shown, body),
    fields: ({ body }) => body,
  },
  complete: {
    send: (todos, { id, completed = true }, options) => todos({ id }).complete.patch({ completed }, options),
    show: (shown, { completed = true }, { at }) =>
      withFields(shown, { completed, completed_at: completed ? at : null }),
    fields: ({ completed = true }) => ({ completed }),
  },
  delete: {
    send: (todos, { id }, options) => todos({ id }).delete(undefined, options),
    show: ({ task, trashed }) => ({ task: undefined, trashed: task ?? trashed }),
  },
  restore: {
    send: (todos, { id }, options) => todos({ id }).restore.post(undefined, options),
    show: ({ task, trashed }) => ({ task: task ?? trashed, trashed: undefined }),
    isHarmless: true,
  },
  move: {
    send: (todos, operation, options) => todos({ id: operation.id }).move.post(targetOf(operation), options),
    // only the server knows the positions of all tasks
    show: (shown) => shown,
    isHarmless: true,
  },
}

/** What a new task has until the server answers. */
const NEW = {
  description: null,
  completed: false,
  priority: null,
  due_date: null,
  due_time: null,
  time_zone: null,
  due_at: null,
  reminders: [],
  repeat: null,
  repeat_from: 'due' as const,
  tags: [],
  list_id: null,
  parent_id: null,
  next_id: null,
  // new tasks come last
  position: '~',
  revision: 0,
} satisfies Partial<Task>

type Defined<Fields> = { [Name in keyof Fields]: Exclude<Fields[Name], undefined> }

/** Fields are never undefined: an operation is kept as JSON. */
function defined<Fields extends object>(fields: Fields): Defined<Fields> {
  return fields as Defined<Fields>
}

/** Fields that no operation sets. */
const BY_SERVER = new Set(['id', 'user_id', 'created_at', 'updated_at', 'revision'])

/** The table has for each operation what takes that operation, which the compiler cannot follow. */
function kindOf<Op extends Operation>({ op }: Op): Kind<Op> {
  return KINDS[op] as unknown as Kind<Op>
}

/** Sends a waiting operation. */
export function send(
  todos: TasksCalls,
  { operation, key, seen, conflicts }: Waiting,
  signal: AbortSignal,
): Sent {
  const isGuarded = !kindOf(operation).isHarmless || ifMatchOf(operation) !== undefined
  const options = optionsOf({
    // what the app sends instead of a refused create is another request
    key: conflicts > 0 ? `${key}-${conflicts}` : key,
    revision: isGuarded ? seen : undefined,
    signal,
  })
  return kindOf(operation).send(todos, operation, options)
}

function optionsOf({ key, revision, signal }: Sending) {
  const ifMatch = revision === undefined ? undefined : `"${revision}"`
  return { headers: { 'idempotency-key': key, 'if-match': ifMatch }, fetch: { signal } }
}

/** What the user sees after an operation. */
export function show(shown: Shown, { operation, id, at }: Waiting, owner: string): Shown {
  return kindOf(operation).show(shown, operation, { id, owner, at })
}

/** @returns the fields that an operation sets; undefined if it sets none */
export function fieldsOf(operation: Operation): TaskUpdate | undefined {
  return kindOf(operation).fields?.(operation)
}

/** @returns the values that another device must not have changed: of the fields that the operation sets, or else of all */
export function relevantOf(operation: Operation, task: Task): TaskUpdate {
  const fields = Object.keys(fieldsOf(operation) ?? task).filter((field) => !BY_SERVER.has(field))
  return Object.fromEntries(fields.map((field) => [field, task[field as keyof TaskUpdate]]))
}

export function ifMatchOf(operation: Operation): number | undefined {
  return operation.op === 'create' ? undefined : operation.if_match
}

/** The same operation on the task's own id. */
export function withId(operation: Operation, id: number): Operation {
  return operation.op === 'create' ? operation : { ...operation, id }
}

export function isOperation(value: unknown): value is Operation {
  const { op } = (value ?? {}) as { op?: unknown }
  return typeof op === 'string' && Object.hasOwn(KINDS, op)
}

/** The server refuses a move that names no place, or several. */
function targetOf({ after, before, to }: MoveOperation): Move {
  return defined({ after, before, to }) as Move
}

function withFields({ task, trashed }: Shown, fields: Partial<Task> | TaskUpdate): Shown {
  // fields are never undefined: an operation is kept as JSON
  return { task: task && ({ ...task, ...fields } as Task), trashed }
}
