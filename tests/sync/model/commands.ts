/** The random commands of the games. Tasks and lists are named by a number, of those that there are then. */
import fc from 'fast-check'

const TAGS = ['home', 'Home', 'HOME', 'work', 'Work', 'Äpfel', 'äpfel'] as const

const who = fc.nat(2)
// device 3 belongs to the other user
const anyone = fc.constantFrom(0, 0, 1, 1, 2, 2, 3)
/** Mostly the same few, because what is done to a task depends on what was done to it before. */
const task = fc.constantFrom(0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 6, 7)
const list = fc.nat(7)
const key = fc.option(fc.nat(4), { nil: undefined })
/** 0: the request is lost. 2: the answer is lost, and the device sends the request again. */
const times = fc.constantFrom(1, 1, 1, 1, 2, 2, 0)
const match = fc.constantFrom(
  ...(['none', 'none', 'none', 'none', 'none', 'current', 'current', 'seen', 'list', 'any', 'weak'] as const),
)
const place = fc.record({ where: fc.constantFrom('first', 'last', 'before', 'after'), neighbour: task })
export type Place = typeof place extends fc.Arbitrary<infer T> ? T : never

const due = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      days: fc.integer({ min: -3, max: 3 }),
      every: fc.integer({ min: 1, max: 2 }),
      count: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      from: fc.constantFrom('due', 'due', 'completion'),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom('no day', 'no rule', 'only a rule') },
)
const fields = fc.record(
  {
    tags: fc.array(fc.constantFrom(...TAGS), { maxLength: 2 }),
    list: fc.option(list, { nil: null }),
    parent: fc.option(task, { nil: null, freq: 4 }),
    due,
    completed: fc.boolean(),
  },
  { requiredKeys: [] },
)
export type Fields = typeof fields extends fc.Arbitrary<infer T> ? T : never

const act = fc.record({
  op: fc.constantFrom(
    ...(['create', 'create', 'create', 'update', 'update', 'complete', 'complete', 'set', 'set'] as const),
    ...(['delete', 'delete', 'restore', 'restore', 'end', 'move', 'move'] as const),
  ),
  task,
  match,
  completed: fc.boolean(),
  fields,
  place,
})
export type ActCommand = typeof act extends fc.Arbitrary<infer T> ? T : never

const kind = fc.constantFrom(
  ...(['all', 'completed', 'trash', 'arranged', 'arranged', 'tag', 'tags'] as const),
  ...(['in list', 'inbox', 'steps', 'no steps', 'lists', 'all tags'] as const),
)

export const Command = fc.oneof(
  { weight: 14, arbitrary: fc.record({ do: fc.constant('act' as const), who: anyone, act, key, times }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('batch' as const),
      who,
      acts: fc.array(act, { minLength: 1, maxLength: 4 }),
      key,
      times,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('act on list' as const),
      who: anyone,
      op: fc.constantFrom('create', 'create', 'create', 'rename', 'delete', 'delete', 'move'),
      list,
      match,
      toTrash: fc.boolean(),
      place,
      key,
      times,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('act on tag' as const),
      who: anyone,
      name: fc.constantFrom(...TAGS),
      next: fc.option(fc.constantFrom(...TAGS, 'new'), { nil: null, freq: 3 }),
      times,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), which: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('list' as const), who, kind, which: task }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), who, task }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('follow' as const), who, limit: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      // no sum of them is exactly one or thirty days
      hours: fc.constantFrom(13, 16 * 24, 31 * 24),
      isPurging: fc.boolean(),
    }),
  },
)
export type Command = typeof Command extends fc.Arbitrary<infer T> ? T : never
export type WriteCommand = Extract<Command, { do: `act${string}` | 'batch' }>
