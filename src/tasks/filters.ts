/** What a list of tasks can be asked for: its filters, its orders and its parts. */
import { t } from 'elysia'
import { invalid } from '../http/problems'
import {
  checked,
  flag,
  hasLength,
  idOrNone,
  isStorable,
  Limit,
  momentInQuery,
  oneOf,
  separated,
  strict,
  wholeNumber,
} from '../http/schemas'
import { Day, isTagName, PRIORITIES, TAG_RULE } from './fields'

const MAX_SKIP = 10_000
export const MAX_WORDS = 8
export const SEARCH_RULE = `must be 1 to 200 characters, with 1 to ${MAX_WORDS} words`

type Level = (typeof PRIORITIES)[number] | 'none'
export const LEVELS: readonly Level[] = [...PRIORITIES, 'none']

export const SORTS = ['created', 'title', 'due', 'priority', 'updated', 'position'] as const

const DEFAULT_ORDER: Record<(typeof SORTS)[number], 'asc' | 'desc'> = {
  created: 'desc',
  title: 'asc',
  due: 'asc',
  priority: 'desc',
  updated: 'desc',
  position: 'asc',
}

const Part = {
  limit: t.Optional(Limit),
  cursor: t.Optional(
    t.String({
      maxLength: 4096,
      rule: 'must be a cursor of this list',
      description: 'From the `Link` header of the previous page',
    }),
  ),
  skip: t.Optional(
    wholeNumber('^0*(?:[0-9]{1,4}|10000)$', `must be a whole number from 0 to ${MAX_SKIP}`, {
      minimum: 0,
      maximum: MAX_SKIP,
      description: 'How many tasks to skip; not with `cursor`',
    }),
  ),
  count: t.Optional(flag('The header `X-Total-Count` says how many tasks match the filter')),
}

export const ListQuery = t.Object(
  {
    status: t.Optional(oneOf(['all', 'pending', 'completed'], 'Which tasks are listed; all by default')),
    completed: t.Optional(flag('Lists only tasks with this value')),
    priority: t.Optional(
      separated<Level>(
        'priorities',
        (each) => LEVELS.some((level) => level === each),
        `must be of ${LEVELS.join(', ')}`,
        { enum: LEVELS },
        'One of these, such as `high,none`',
      ),
    ),
    tag: t.Optional(
      separated('tags', isTagName, `each ${TAG_RULE}`, {}, 'All of these, such as `home,work`'),
    ),
    list_id: t.Optional(idOrNone('In this list; `none`: in the inbox')),
    parent_id: t.Optional(idOrNone('Steps of this task; `none`: no steps')),
    due: t.Optional(oneOf(['any', 'none'], 'Whether it has a `due_date`')),
    due_from: t.Optional({
      ...Day,
      documented: { ...Day['documented'], description: 'Due on this day or later' },
    }),
    due_to: t.Optional({
      ...Day,
      documented: { ...Day['documented'], description: 'Due on this day or earlier' },
    }),
    overdue: t.Optional(
      flag('Whether it is open and its due moment, or the day in its time zone, has passed'),
    ),
    updated_from: t.Optional(momentInQuery('Changed at this moment or later')),
    q: t.Optional(
      checked('search', isSearch, SEARCH_RULE, {
        minLength: 1,
        maxLength: 200,
        description: 'Each word occurs in the title or the description, whatever case and accents',
      }),
    ),
    sort: t.Optional(
      oneOf(SORTS, 'By creation (the default), or another one; what has no due date or priority comes last'),
    ),
    order: t.Optional(
      oneOf(
        ['asc', 'desc'],
        'Newest first, title, due date and position ascending, and high priority first (`desc`) by default',
      ),
    ),
    ...Part,
  },
  strict,
)
export type ListQuery = typeof ListQuery.static

export const TrashQuery = t.Object(Part, strict)
export type TrashQuery = typeof TrashQuery.static

/** Whether the text can be searched for. */
export function isSearch(text: string): boolean {
  const words = wordsOf(text).length
  return hasLength(text, 1, 200) && isStorable(text) && words >= 1 && words <= MAX_WORDS
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter(Boolean)
}

export type Order = `${(typeof SORTS)[number]} ${'asc' | 'desc'}`

export function orderOf({ sort = 'created', order }: ListQuery): Order {
  return `${sort} ${order ?? DEFAULT_ORDER[sort]}`
}

/** The members of `find_tasks`' filter that are in use. */
export interface Filter {
  completed: boolean | null
  priorities?: Level[]
  tags?: string[]
  list_id?: number
  in_inbox?: true
  parent_id?: number
  is_no_step?: true
  has_due_date?: boolean
  due_from?: string
  due_to?: string
  overdue?: boolean
  updated_from?: string
  words?: string[]
}

/** @throws Problem VALIDATION_ERROR if two parameters contradict each other */
export function filterOf(query: ListQuery): Filter {
  const { priority, tag, list_id, parent_id, due, due_from, due_to, overdue, updated_from, q } = query
  return {
    completed: completionOf(query),
    ...(priority && { priorities: [...new Set(priority)].sort() }),
    ...(tag && { tags: tag }),
    ...(list_id && (list_id === 'none' ? { in_inbox: true } : { list_id })),
    ...(parent_id && (parent_id === 'none' ? { is_no_step: true } : { parent_id })),
    ...(due && { has_due_date: due === 'any' }),
    ...(due_from && { due_from }),
    ...(due_to && { due_to }),
    ...(overdue !== undefined && { overdue }),
    ...(updated_from && { updated_from }),
    ...(q && { words: wordsOf(q) }),
  }
}

function completionOf(query: ListQuery): boolean | null {
  const byStatus = { all: null, pending: false, completed: true }[query.status ?? 'all']
  const byField = query.completed ?? null
  if (byStatus !== null && byField !== null && byStatus !== byField) {
    throw invalid({ in: 'query', pointer: 'completed', detail: 'contradicts `status`' })
  }
  return byField ?? byStatus
}

export const NO_FILTER: Filter = { completed: null }

/** Whether the indexes of a plain list serve it: no filter but `completed`, and an order that an index has. */
export function isPlain({ completed: _, ...others }: Filter, order: Order): boolean {
  return Object.keys(others).length === 0 && /^(?:created|title) /.test(order)
}
