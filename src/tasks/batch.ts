/** Several operations in one request: all of them are done, or none. */
import { t } from 'elysia'
import { type FieldError, Problem } from '../http/problems'
import { component, Id, namedObject, nullable } from '../http/schemas'
import { type Draft, reserve } from './draft'
import { content } from './fields'
import { MOVE_RULE, type Move, Task, TaskCreate, type TaskRow, TaskUpdate, targets, toTask } from './model'
import * as rules from './rules'

const MAX_OPERATIONS = 100

const target = {
  id: Id,
  if_match: t.Optional({ ...Id, description: 'Only if the task still has this revision' }),
}

const operations = [
  namedObject('CreateOperation', { op: t.Literal('create'), body: TaskCreate }),
  namedObject('UpdateOperation', { op: t.Literal('update'), ...target, body: TaskUpdate }),
  namedObject('CompleteOperation', {
    op: t.Literal('complete'),
    ...target,
    completed: t.Optional({ ...content.completed, description: '`true` if it is left out' }),
  }),
  namedObject('DeleteOperation', { op: t.Literal('delete'), ...target }),
  namedObject('RestoreOperation', { op: t.Literal('restore'), ...target }),
  namedObject(
    'MoveOperation',
    { op: t.Literal('move'), ...target, ...t.Partial(t.Object(targets)).properties },
    { description: 'Takes one of `after`, `before` and `to`' },
  ),
] as const

const Operation = component(
  'Operation',
  t.Union([...operations], {
    description: 'One change of a batch',
    discriminator: {
      propertyName: 'op',
      mapping: Object.fromEntries(
        operations.map(({ properties, component }) => [
          properties.op.const,
          `#/components/schemas/${component}`,
        ]),
      ),
    },
  }),
)
export type Operation = typeof Operation.static

export const Batch = namedObject(
  'Batch',
  {
    operations: t.Array(Operation, {
      minItems: 1,
      maxItems: MAX_OPERATIONS,
      rule: `must be a list of 1 to ${MAX_OPERATIONS} operations`,
    }),
  },
  {
    description: 'Operations that are done in their order, all or none',
    examples: [
      {
        operations: [
          { op: 'create', body: { title: 'Buy milk' } },
          { op: 'complete', id: 41 },
        ],
      },
    ],
  },
)
export type Batch = typeof Batch.static

export const BatchResults = namedObject(
  'BatchResults',
  { results: t.Array(nullable(Task), { description: 'In the same order; `null` for what was deleted' }) },
  { description: 'What the operations have made' },
)
export type BatchResults = typeof BatchResults.static

/** @returns the tasks that the operations name */
export function idsIn({ operations }: Batch): number[] {
  return operations.flatMap((each) => [
    ...('id' in each ? [each.id] : []),
    ...(each.op === 'move' ? [each.after ?? [], each.before ?? []].flat() : []),
    ...('body' in each ? [each.body.parent_id ?? []].flat() : []),
  ])
}

/** @throws the Problem of the first operation that fails, with a pointer to it */
export async function runBatch(draft: Draft, { operations }: Batch): Promise<BatchResults> {
  await reserve(draft, operations.filter(({ op }) => op === 'create').length)
  const results: BatchResults['results'] = []
  for (const [n, operation] of operations.entries()) {
    const row = await run(draft, operation).catch((error) => {
      throw error instanceof Problem ? within(error, operation, `/operations/${n}`) : error
    })
    results.push(row ? toTask(row) : null)
  }
  return { results }
}

async function run(draft: Draft, operation: Operation): Promise<TaskRow | null> {
  if (operation.op === 'create') return rules.create(draft, operation.body)
  const { id, if_match } = operation
  const ifMatch = if_match === undefined ? null : [if_match]
  switch (operation.op) {
    case 'update':
      return rules.update(draft, id, operation.body, ifMatch)
    case 'complete':
      return rules.complete(draft, id, operation.completed ?? true, ifMatch)
    case 'delete':
      return rules.trash(draft, id, ifMatch)
    case 'restore':
      return rules.restore(draft, id, ifMatch)
    case 'move':
      return rules.move(draft, id, targetOf(operation), ifMatch)
  }
}

/** @throws Problem VALIDATION_ERROR */
function targetOf({ after, before, to }: Operation & { op: 'move' }): Move {
  const given = [
    ...(after === undefined ? [] : [{ after }]),
    ...(before === undefined ? [] : [{ before }]),
    ...(to === undefined ? [] : [{ to }]),
  ]
  const [target] = given
  if (target && given.length === 1) return target
  throw new Problem('VALIDATION_ERROR', { errors: [{ in: 'body', pointer: '', detail: MOVE_RULE }] })
}

/** The same problem, which points into the batch. */
function within({ code, errors, current, headers }: Problem, operation: Operation, path: string): Problem {
  const inBody = 'body' in operation ? `${path}/body` : path
  const moved = errors?.map((each): FieldError => ({ ...each, pointer: inBody + each.pointer }))
  const own: FieldError = { in: 'body', pointer: path, detail: new Problem(code).message }
  return new Problem(code, { errors: moved ?? [own], current, headers })
}
