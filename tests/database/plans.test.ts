/** Whether statements stay fast as the tables grow: each one of them is run, and what PostgreSQL did for it is read. */
import { afterAll, expect, test } from 'bun:test'
import { fileURLToPath } from 'node:url'
import * as accountPurge from '../../src/accounts/purge'
import * as accounts from '../../src/accounts/queries'
import { findUsers, isDeleted } from '../../src/auth/queries'
import * as chat from '../../src/chat/queries'
import type { Sql } from '../../src/database/sql'
import * as lists from '../../src/lists/queries'
import { purgeTold } from '../../src/reminders/purge'
import * as reminders from '../../src/reminders/queries'
import { purgeTickets } from '../../src/sync/purge'
import * as sync from '../../src/sync/queries'
import * as tags from '../../src/tags/queries'
import * as drafts from '../../src/tasks/draft-queries'
import { type Filter, NO_FILTER, type Order } from '../../src/tasks/filters'
import {
  countFound,
  countTasks,
  countTrash,
  listByTitle,
  listTasks,
  listTrash,
  type Part,
  searchTasks,
} from '../../src/tasks/list-queries'
import * as taskPurge from '../../src/tasks/purge'
import * as tasks from '../../src/tasks/queries'
import { purgeTokens } from '../../src/tokens/purge'
import * as tokens from '../../src/tokens/queries'
import { fill, PASSWORD_HASH, type Subject, subject, TIDY, WITHOUT_ACCOUNT } from '../support/crowd'
import { testDatabase } from '../support/database'
import { type Fault, MODES, openExplainer, readAlone } from '../support/plans'

const { sql, url } = await testDatabase(1)
await fill(sql, { users: 20_000, busy: 500, tasksEach: 200, most: 20_000, deleted: 5000 })
const explainer = await openExplainer(url)
afterAll(() => explainer.end())

const SUBJECTS = {
  'a user': await subject(sql, 'user-7'),
  'the one with most': await subject(sql, 'most'),
  'one who has deleted nearly all': await subject(sql, TIDY),
  'one without an account': await subject(sql, WITHOUT_ACCOUNT),
  'an unknown user': await subject(sql, 'nobody'),
}

type Call = (sql: Sql, subject: Subject) => Promise<unknown>
/** By what is particular about them. */
type Calls = Record<string, Call>

const plain = (call: Call): Calls => ({ plain: call })

/** One more than the longest page: whether there is another. */
const PAGE = 201
const CHANGES_PAGE = 501
const NEWS_PAGE = 500

type Read = (sql: Sql, subject: Subject, completed: boolean | null, part: Part) => Promise<unknown>

const FIRST: Part = { after: undefined, limit: PAGE, skip: 0 }

function listCalls(
  read: Read,
  position: (subject: Subject) => number = ({ middle }) => middle.number,
  skip = 10_000,
): Calls {
  const deep = (of: Subject) => ({ after: { ...of.middle, number: position(of) } })
  const parts: Record<string, (of: Subject) => Partial<Part>> = {
    'first page': () => ({}),
    'deep page': deep,
    skip: () => ({ skip }),
  }
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]): [string, Call] => [
      name,
      (sql, of) => read(sql, of, null, { ...FIRST, ...part(of) }),
    ]),
  )
}

function orderCalls(list: typeof listTasks, order: Order): Calls {
  const read: Read = (sql, { caller }, completed, part) =>
    list(sql, caller, { ...NO_FILTER, completed }, order, part)
  const filtered: Calls = {
    completed: (sql, of) => read(sql, of, true, FIRST),
    pending: (sql, of) => read(sql, of, false, FIRST),
    'deep page of completed': (sql, of) => read(sql, of, true, { ...FIRST, after: of.middle }),
  }
  const calls = Object.entries({ ...listCalls(read), ...filtered })
  return Object.fromEntries(calls.map(([name, call]) => [`${name}, ${order}`, call]))
}

const byRevision = ({ caller }: Subject) => (caller.id === 'most' ? 10_000 : 100)

type Write = Pick<tasks.Write, 'from' | 'to' | 'change'>

const writeCalls = (what: string, write: Write, idOf: (subject: Subject) => number): Calls => ({
  [what]: (sql, of) => tasks.writeTask(sql, of.caller, idOf(of), { ...write, ifMatch: null }),
  [`${what}, of some revisions`]: (sql, of) =>
    tasks.writeTask(sql, of.caller, idOf(of), { ...write, ifMatch: [1, 200, 20_000] }),
})
const live = ({ taskId }: Subject) => taskId
const trashed = ({ trashed }: Subject) => trashed

const NEXT_HASH = PASSWORD_HASH.replace('AA', 'BB')
const newSession = () => ({
  sessionId: crypto.randomUUID(),
  tokenHash: Buffer.from(crypto.getRandomValues(new Uint8Array(32))),
  userAgent: 'test',
})
const signIn =
  (nextPasswordHash: string | null): Call =>
  (sql, { caller, email }) =>
    accounts.createSession(sql, {
      ...newSession(),
      userId: caller.id,
      email,
      passwordHash: PASSWORD_HASH,
      nextPasswordHash,
    })
const createAccount =
  (email: string): Call =>
  (sql) =>
    accounts.createAccount(sql, {
      ...newSession(),
      userId: 'new',
      email,
      name: null,
      passwordHash: PASSWORD_HASH,
    })
const LEASE = crypto.randomUUID()
const messagePages = (isUp: boolean): Calls => {
  const page =
    (after: number): Call =>
    (sql, { caller, conversationId }) =>
      chat.listMessages(sql, caller, conversationId, { after, limit: PAGE, ascending: isUp })
  const name = isUp ? 'oldest first' : 'newest first'
  return {
    [name]: page(isUp ? 0 : Number.MAX_SAFE_INTEGER),
    [`${name}, deep page`]: page(30_000),
  }
}
const newToken = (): tokens.NewToken => ({
  name: 'x',
  scopes: ['tasks:read'],
  tokenHash: newSession().tokenHash,
  lastFour: 'abcd',
  expiresAt: null,
})
const UNKNOWN_HASHES = Array.from({ length: 15 }, (_, n) => n.toString(16).padStart(64, '0'))
const rotation = (tokenHash: Buffer) => ({
  tokenHash,
  nextTokenHash: newSession().tokenHash,
  userAgent: null,
})
const updateAccount =
  (change: Partial<accounts.AccountChange>): Call =>
  (sql, { caller }) =>
    accounts.updateAccount(sql, caller, { name: undefined, email: undefined, passwordHash: null, ...change })
const readChanges =
  (position: Parameters<typeof sync.readChanges>[2]): Call =>
  (sql, { caller }) =>
    sync.readChanges(sql, caller, position, CHANGES_PAGE)
const readNews =
  (users: number): Call =>
  (sql, { caller }) => {
    const others = Array.from({ length: users }, (_, n) => `user-${n + 2}`)
    return sync.readNews(sql, [caller.id, ...others], [100, ...others.map(() => 198)], NEWS_PAGE)
  }
const readTold =
  (users: number, isNew: boolean): Call =>
  (sql, { caller }) => {
    const ids = [caller.id, ...Array.from({ length: users }, (_, n) => `user-${n + 2}`)]
    const known = isNew ? 0 : Number.MAX_SAFE_INTEGER
    return reminders.readTold(
      sql,
      ids,
      ids.map(() => known),
      NEWS_PAGE,
    )
  }
const tellReminders: Call = async (sql, { caller, taskId }) => {
  const now = new Date().toISOString()
  const task = {
    user_id: caller.id,
    revision: 200,
    remind_at: now,
    next_at: null,
    due_at: now,
    minutes: [30],
  }
  await reminders.tellReminders(
    sql,
    Array.from({ length: 500 }, (_, n) => ({ ...task, id: taskId + n })),
  )
}
const createTask =
  (key?: string): Call =>
  (sql, { caller }) =>
    tasks.createTask(sql, caller, { title: 'x' }, key ? { key, fingerprint: Buffer.alloc(32) } : undefined)

/** The subject and so many others. */
const together = (caller: Subject['caller'], others: number) => [
  caller,
  ...Array.from({ length: others }, (_, n) => ({ ...caller, id: `user-${n + 2}` })),
]
const createTasks =
  (others: number): Call =>
  (sql, { caller }) =>
    tasks.createTasks(
      sql,
      together(caller, others).map((each) => ({ caller: each, task: { title: 'x' } })),
    )
const findTasks =
  (others: number): Call =>
  (sql, { caller, taskId }) =>
    tasks.findTasks(
      sql,
      together(caller, others).map((each, n) => ({ caller: each, id: taskId + n })),
    )
const findUsersOf =
  (others: number): Call =>
  (sql, { caller }) =>
    findUsers(
      sql,
      together(caller, others).map(({ id }) => id),
    )

const SEARCHES: Filter[] = [
  NO_FILTER,
  { completed: false, tags: ['Home'], priorities: ['high'], words: ['a'] },
]
const search = (read: (sql: Sql, subject: Subject, filter: Filter) => Promise<unknown>): Calls =>
  Object.fromEntries(
    SEARCHES.map((filter, n): [string, Call] => [`search ${n}`, (sql, of) => read(sql, of, filter)]),
  )
const neighbours =
  (place: string, idUpTo: number): Call =>
  (sql, { caller }) =>
    drafts.findNeighbours(sql, caller.id, { place, idUpTo, isTaken: false }, [1])
const writeDraft =
  (key?: string): Call =>
  (sql, { caller, taskId, row, revision: expected }) => {
    const idempotency = key === undefined ? undefined : { key, fingerprint: Buffer.alloc(32) }
    const rows = row ? [row, { ...row, id: taskId + 1_000_000 }] : []
    return drafts.writeDraft(sql, caller, {
      expected,
      revision: expected + 1,
      rows,
      idempotency,
      answer: '1',
    })
  }
const createList =
  (key?: string): Call =>
  (sql, { caller }) => {
    const idempotency = key ? { key, fingerprint: Buffer.alloc(32) } : undefined
    return lists.createList(sql, caller, { name: 'x' }, revisionOf(caller), idempotency)
  }
const deleteList =
  (toTrash: boolean): Call =>
  (sql, { caller, listId }) =>
    lists.deleteList(sql, caller, listId, toTrash, revisionOf(caller))
/** As the crowd has them. */
const revisionOf = ({ id }: Subject['caller']) => ({ most: 20_000, [TIDY]: 20_000, nobody: 0 })[id] ?? 200

/** By the name of their statement. */
const STATEMENTS: Record<string, Calls> = {
  listTasks: { ...orderCalls(listTasks, 'created desc'), ...orderCalls(listTasks, 'created asc') },
  listByTitle: { ...orderCalls(listByTitle, 'title asc'), ...orderCalls(listByTitle, 'title desc') },
  countTasks: {
    all: (sql, { caller }) => countTasks(sql, caller, NO_FILTER),
    'of completed': (sql, { caller }) => countTasks(sql, caller, { ...NO_FILTER, completed: true }),
  },
  searchTasks: search((sql, { caller }, filter) => searchTasks(sql, caller, filter, 'due asc', FIRST)),
  countFound: search((sql, { caller }, filter) => countFound(sql, caller, filter)),
  readTasks: plain((sql, { caller, taskId }) => drafts.readTasks(sql, caller.id, [taskId])),
  reserveIds: plain((sql) => drafts.reserveIds(sql, 3)),
  hasList: plain((sql, { caller }) => drafts.hasList(sql, caller.id, 1)),
  findSpellings: plain((sql, { caller }) => drafts.findSpellings(sql, caller.id, ['Home', 'work'], [1])),
  findNeighbours: {
    'of the first': neighbours('', 0),
    'of the last': neighbours('~', Number.MAX_SAFE_INTEGER),
    'in the middle': (sql, of) =>
      neighbours(`p${String(of.middle.number).padStart(16, '0')}`, of.middle.number)(sql, of),
  },
  writeDraft: {
    plain: writeDraft(),
    'with a key': writeDraft('new'),
  },
  countTrash: plain((sql, { caller }) => countTrash(sql, caller)),
  listTrash: listCalls((sql, { caller }, _, part) => listTrash(sql, caller, part), byRevision, 500),
  findUsers: { 'of one': findUsersOf(0), 'of many': findUsersOf(15) },
  createTask: {
    plain: createTask(),
    'with a key': createTask('new'),
  },
  createTasks: { 'of one': createTasks(0), 'of many': createTasks(15) },
  findAnswer: plain((sql, { caller }) => tasks.findAnswer(sql, caller.id, '300')),
  findTasks: { 'of one': findTasks(0), 'of many': findTasks(15) },
  writeTask: {
    ...writeCalls('change', { from: ['lists'], to: 'lists', change: { title: 'y' } }, live),
    ...writeCalls('complete', { from: ['lists'], to: 'lists', change: { completed: true } }, live),
    ...writeCalls('delete', { from: ['lists'], to: 'trash', change: {} }, live),
    ...writeCalls('end', { from: ['lists', 'trash'], to: 'ended', change: {} }, live),
    ...writeCalls('restore', { from: ['trash'], to: 'lists', change: {} }, trashed),
  },
  readLists: plain((sql, { caller }) => lists.readLists(sql, caller.id)),
  findList: plain((sql, { caller, listId }) => lists.findList(sql, caller, listId)),
  readForWrite: plain((sql, { caller }) => lists.readForWrite(sql, caller.id)),
  createList: {
    plain: createList(),
    'with a key': createList('new'),
  },
  updateList: plain((sql, { caller, listId }) =>
    lists.updateList(sql, caller, listId, { name: 'y' }, [1, 200]),
  ),
  moveList: plain((sql, { caller, listId }) => lists.moveList(sql, caller, listId, 'p', revisionOf(caller))),
  deleteList: { 'to the inbox': deleteList(false), 'to the trash': deleteList(true) },
  readTags: plain((sql, { caller }) => tags.readTags(sql, caller.id)),
  readTag: plain((sql, { caller }) => tags.readTag(sql, caller.id, 'TAG 7', 'tag 14')),
  writeTag: {
    rename: (sql, { caller }) => tags.writeTag(sql, caller, 'tag 7', 'tag x', revisionOf(caller)),
    merge: (sql, { caller }) => tags.writeTag(sql, caller, 'tag 7', 'tag 14', revisionOf(caller)),
    delete: (sql, { caller }) => tags.writeTag(sql, caller, 'tag 7', null, revisionOf(caller)),
  },
  isDeleted: plain((sql, { caller }) => isDeleted(sql, caller)),
  readChanges: {
    'from the beginning': readChanges(null),
    'first pages': readChanges({ revision: 100, begun: 20_000 }),
    'deep pages': readChanges({ revision: 15_000, begun: 20_000 }),
    'the newest': readChanges({ revision: 19_990, begun: 10 }),
    nothing: readChanges({ revision: 20_000, begun: 10 }),
  },
  readNews: { 'of one': readNews(0), 'of some': readNews(20), 'of many': readNews(30) },
  findRemindedTasks: plain((sql) => reminders.findRemindedTasks(sql, 500)),
  tellReminders: plain(tellReminders),
  findLastTold: {
    'at first': (sql) => reminders.findLastTold(sql, 0),
    'nothing new': (sql) => reminders.findLastTold(sql, Number.MAX_SAFE_INTEGER),
  },
  readTold: {
    'of one': readTold(0, true),
    'of many': readTold(30, true),
    'of many, nothing new': readTold(30, false),
  },
  purgeTold: plain(purgeTold),
  createTicket: plain((sql, { caller }) =>
    sync.createTicket(sql, caller, { ticketHash: newSession().tokenHash, lifetime: 60 }),
  ),
  redeemTicket: plain((sql, { ticketHash }) => sync.redeemTicket(sql, ticketHash)),
  findDueTombstones: {
    'many due': (sql) => taskPurge.findDueTombstones(sql, 30),
    'few due': (sql) => taskPurge.findDueTombstones(sql, 59),
    'none due': (sql) => taskPurge.findDueTombstones(sql, 90),
  },
  purgeTombstonesOf: plain((sql, { caller, trashed }) =>
    taskPurge.purgeTombstonesOf(sql, caller.id, [trashed], 0),
  ),
  findDueKeys: plain(taskPurge.findDueKeys),
  purgeKeysOf: plain((sql, { caller }) => taskPurge.purgeKeysOf(sql, caller.id, ['24', '25', '26'])),
  purgeSessions: plain(accountPurge.purgeSessions),
  purgeRefreshTokens: plain(accountPurge.purgeRefreshTokens),
  purgeTickets: plain(purgeTickets),
  beginConversation: plain((sql, { caller }) => chat.beginConversation(sql, caller, 'x', LEASE, 5)),
  continueConversation: plain((sql, { caller, conversationId }) =>
    chat.continueConversation(sql, caller, conversationId, 'x', LEASE, 5),
  ),
  hasConversation: plain((sql, { caller, conversationId }) =>
    chat.hasConversation(sql, caller, conversationId),
  ),
  extendLease: plain((sql, { caller, conversationId }) =>
    chat.extendLease(sql, caller.id, conversationId, LEASE, 5),
  ),
  endLease: plain((sql, { caller, conversationId }) => chat.endLease(sql, caller.id, conversationId, LEASE)),
  storeAnswer: plain((sql, { caller, conversationId }) =>
    chat.storeAnswer(sql, caller.id, { conversationId, messageId: 1 }, LEASE, {
      content: 'x',
      toolCalls: '[]',
      isWhole: true,
    }),
  ),
  readHistory: plain((sql, { caller, conversationId }) =>
    chat.readHistory(sql, caller.id, conversationId, 40),
  ),
  listConversations: {
    'first page': (sql, { caller }) =>
      chat.listConversations(sql, caller, { after: Number.MAX_SAFE_INTEGER, limit: PAGE }),
    'deep page': (sql, { caller, conversationId }) =>
      chat.listConversations(sql, caller, { after: conversationId - 500, limit: PAGE }),
  },
  listMessages: { ...messagePages(true), ...messagePages(false) },
  deleteConversation: plain((sql, { caller, conversationId }) =>
    chat.deleteConversation(sql, caller, conversationId),
  ),
  createToken: plain((sql, { caller }) => tokens.createToken(sql, caller, newToken(), 1000)),
  listTokens: plain((sql, { caller }) => tokens.listTokens(sql, caller)),
  deleteToken: plain((sql, { caller, apiToken }) => tokens.deleteToken(sql, caller, apiToken.id)),
  isCallerAlive: plain((sql, { caller }) => tokens.isCallerAlive(sql, caller)),
  findGrants: {
    'of one': (sql, { apiToken }) => tokens.findGrants(sql, [apiToken.hash]),
    'of many': (sql, { apiToken }) => tokens.findGrants(sql, [apiToken.hash, ...UNKNOWN_HASHES]),
  },
  noteUse: plain((sql, { caller, apiToken }) => tokens.noteUse(sql, { user_id: caller.id, id: apiToken.id })),
  findLiving: plain((sql, { caller, apiToken }) =>
    tokens.findLiving(sql, [caller.id, 'user-2'], [apiToken.id, 1]),
  ),
  purgeTokens: plain(purgeTokens),
  createAccount: {
    plain: createAccount('new@example.com'),
    'a taken address': createAccount('user-9@example.com'),
  },
  findByEmail: plain((sql, { email }) => accounts.findByEmail(sql, email)),
  createSession: { plain: signIn(null), 'new hash': signIn(NEXT_HASH) },
  rotateToken: plain((sql, { tokenHash }) => accounts.rotateToken(sql, rotation(tokenHash))),
  endSessionOf: plain((sql, { tokenHash }) => accounts.endSessionOf(sql, tokenHash)),
  findCaller: plain((sql, { caller }) => accounts.findCaller(sql, caller)),
  findPassword: plain((sql, { caller }) => accounts.findPassword(sql, caller)),
  updateAccount: {
    'the name': updateAccount({ name: 'N' }),
    'the address': updateAccount({ email: 'another@example.com', passwordHash: PASSWORD_HASH }),
  },
  updatePassword: plain((sql, { caller }) =>
    accounts.updatePassword(sql, caller, {
      passwordHash: PASSWORD_HASH,
      nextPasswordHash: NEXT_HASH,
      endTokens: true,
    }),
  ),
  deleteAccount: plain((sql, { caller }) => accounts.deleteAccount(sql, caller, PASSWORD_HASH)),
  deleteUser: plain((sql, { caller }) => accounts.deleteUser(sql, caller)),
  listSessions: plain((sql, { caller }) => accounts.listSessions(sql, caller)),
  endSession: plain((sql, { caller }) => accounts.endSession(sql, caller, caller.sessionId ?? '')),
  endOtherSessions: plain((sql, { caller }) => accounts.endOtherSessions(sql, caller)),
}

/** How many rows may be read of a table, or sorted, where it is not a page of tasks. */
const LIMITS: Record<string, number> = {
  readChanges: CHANGES_PAGE,
  readNews: NEWS_PAGE,
  findDueTombstones: 1000,
  findDueKeys: 1000,
  purgeSessions: 1000,
  purgeRefreshTokens: 1000,
  purgeTickets: 1000,
  findRemindedTasks: 500,
  tellReminders: 500,
  readTold: NEWS_PAGE,
  purgeTold: 1000,
  purgeTokens: 1000,
}

const LISTS = ['listTasks', 'listByTitle', 'listTrash']

interface Exception {
  of: readonly string[]
  in: RegExp
  kind: Fault['kind']
  reason: string
}

const PAST_TOMBSTONES = 'a client that begins goes past what was deleted, once, and the purge bounds it'
const FIRST_RUNS = 'until the generic plan is used, what is left of this user may be sorted'

/** What is as it should be, or as good as it can be. */
const EXCEPTIONS: Exception[] = [
  { of: ['countTasks', 'countTrash'], in: /^/, kind: 'reads many', reason: 'to count is to go through' },
  {
    of: ['searchTasks', 'countFound'],
    in: /^/,
    kind: 'reads many',
    reason: 'goes through all tasks of this user',
  },
  { of: ['searchTasks'], in: /^/, kind: 'sorts many', reason: 'sorts all tasks of this user that are found' },
  { of: ['readLists', 'readTags'], in: /^/, kind: 'reads many', reason: 'to count is to go through' },
  { of: ['readTags'], in: /^/, kind: 'sorts many', reason: 'puts together what has the same name' },
  { of: ['writeTag'], in: /^/, kind: 'reads many', reason: 'writes all tasks that have the tag' },
  { of: ['deleteList'], in: /^/, kind: 'sorts many', reason: 'numbers all tasks that it writes' },
  {
    of: ['listTasks', 'listByTitle'],
    in: /completed/,
    kind: 'reads many',
    reason: 'goes past the others of this user',
  },
  {
    of: LISTS,
    in: /^skip/,
    kind: 'reads many',
    reason: 'goes past those that are skipped',
  },
  {
    of: LISTS,
    in: /^skip.*custom/,
    kind: 'sorts many',
    reason: 'where most are skipped, no index is quicker',
  },
  { of: ['deleteAccount'], in: /^plain/, kind: 'reads many', reason: 'takes all that there is of this user' },
  { of: ['deleteConversation'], in: /^plain/, kind: 'reads many', reason: 'deletes all its messages' },
  { of: ['readChanges'], in: /^f/, kind: 'reads many', reason: PAST_TOMBSTONES },
  { of: ['readChanges'], in: /^deep.*custom/, kind: 'sorts many', reason: FIRST_RUNS },
  { of: ['readChanges'], in: /^deep.*custom/, kind: 'reads many', reason: FIRST_RUNS },
]

interface Found extends Fault {
  situation: string
  who: string
}

async function find(name: string): Promise<Found[]> {
  const found: Found[] = []
  for (const [what, call] of Object.entries(STATEMENTS[name] ?? {})) {
    // what asks for nobody in particular is asked once
    for (const [who, subject] of Object.entries(SUBJECTS).slice(0, call.length < 2 ? 1 : undefined)) {
      for (const mode of MODES) {
        const { names, plans } = await explainer.explain(mode, (on) => call(on, subject))
        expect(names).toEqual([name])
        expect(plans.filter((plan) => plan['Query Text'].includes(`-- ${name}\n`))).toHaveLength(1)
        const situation = `${what}, ${mode}`
        const faults = plans.flatMap((plan) => explainer.faultsOf(plan, LIMITS[name] ?? PAGE))
        found.push(...faults.map((fault) => ({ ...fault, situation, who })))
      }
    }
  }
  return found
}
const known = new Map<string, Promise<Found[]>>()
function faultsOf(name: string): Promise<Found[]> {
  const faults = known.get(name) ?? find(name)
  known.set(name, faults)
  return faults
}

function isException(exception: Exception, name: string, { kind, situation }: Found): boolean {
  return exception.of.includes(name) && exception.in.test(situation) && exception.kind === kind
}

/** @returns the names of all statements of the service; the migrations and the probe have the driver's own connection */
async function statementsOf(folder: string): Promise<string[]> {
  const names: string[] = []
  for await (const file of new Bun.Glob('**/*.ts').scan(folder)) {
    if (file.startsWith('database/')) continue
    const text = await Bun.file(`${folder}/${file}`).text()
    for (const [, name = `one without a name in ${file}`] of text.matchAll(STATEMENT)) names.push(name)
  }
  return names
}
const STATEMENT = /\bsql<(?:(?!>\()[^`])*?>`(?:\s*-- (\w+)\n)?/g

test('every statement is tried here', async () => {
  const names = await statementsOf(fileURLToPath(new URL('../../src', import.meta.url)))
  const notTried = names.filter((name) => !(name in STATEMENTS))
  const gone = Object.keys(STATEMENTS).filter((name) => !names.includes(name))
  expect({ notTried, gone }).toEqual({ notTried: [], gone: [] })
})

test.each(Object.keys(STATEMENTS))('%s reads and sorts no more than it has to', async (name) => {
  const faults = await faultsOf(name)
  const others = faults.filter(
    (fault) => !EXCEPTIONS.some((exception) => isException(exception, name, fault)),
  )
  expect(others.map(({ situation, who, text }) => `${situation}, ${who}: ${text}`)).toEqual([])
})

test.each(EXCEPTIONS.flatMap((exception) => exception.of.map((name) => ({ name, ...exception }))))(
  '$name $kind: $reason',
  async ({ name, ...exception }) => {
    const faults = await faultsOf(name)
    expect(faults.some((fault) => isException(exception, name, fault))).toBe(true)
  },
)

test.each(['all', 'of completed'])('countTasks, %s: tasks are counted in an index alone', async (what) => {
  const call = STATEMENTS['countTasks']?.[what] ?? expect.unreachable()
  for (const mode of MODES) {
    const { plans } = await explainer.explain(mode, (on) => call(on, SUBJECTS['the one with most']))
    expect(readAlone(plans)).toContain('tasks_live')
  }
})
