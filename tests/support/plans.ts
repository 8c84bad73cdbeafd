/** What PostgreSQL does for a statement: the plans that it ran, and what in them grows with the tables. */
import postgres from 'postgres'
import { nameOf, type Sql } from '../../src/database/sql'

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  'Plan Rows': number
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: PlanNode[]
}

export interface Plan {
  'Query Text': string
  Plan: PlanNode
}

export const MODES = ['force_custom_plan', 'force_generic_plan'] as const
export type Mode = (typeof MODES)[number]

export interface Ran {
  /** The names of the statements that were sent. */
  names: string[]
  /** Theirs, and those of what they set off: the bodies of functions, and the queries of foreign keys. */
  plans: Plan[]
}

export interface Explainer {
  /** Runs statements, sees the plans that they ran with, and undoes what they did. */
  explain(mode: Mode, run: (sql: Sql) => Promise<unknown>): Promise<Ran>
  faultsOf(plan: Plan, limit: number): Fault[]
  end(): Promise<void>
}

export interface Fault {
  kind: 'reads all' | 'reads many' | 'sorts many'
  /** How many rows, and in which plan. */
  text: string
}

/** Statements are run as they are in production, prepared, and the server itself tells of its plans. */
export async function openExplainer(url: string): Promise<Explainer> {
  let plans: Plan[] = []
  const sql = postgres(url, {
    max: 1,
    onnotice: ({ message = '' }) => {
      const [, plan] = /^duration: .* plan:\n(\{.*\})$/s.exec(message) ?? []
      if (plan !== undefined) plans.push(JSON.parse(plan))
    },
  })
  await sql`load 'auto_explain'`
  await sql`
    select set_config('auto_explain.' || name, value, false) from (values
      ('log_min_duration', '0'), ('log_nested_statements', 'on'), ('log_format', 'json'),
      ('log_level', 'notice'), ('log_analyze', 'on'), ('log_timing', 'off'), ('log_buffers', 'off')
    ) as settings (name, value)`
  const tables = await grownTables(sql)
  const leading = await leadingColumns(sql)

  async function explain(mode: Mode, run: (sql: Sql) => Promise<unknown>): Promise<Ran> {
    const names: string[] = []
    const seeing: Sql = async (template, ...parameters) => {
      names.push(nameOf(template))
      // the driver's own type of rows says the same in another way
      return (await sql(template, ...(parameters as never[]))) as never
    }
    await sql.unsafe(`begin; set local plan_cache_mode = ${mode}`)
    try {
      plans = []
      await run(seeing)
      return { names, plans }
    } finally {
      await sql`rollback`
    }
  }

  function faultsOf({ Plan: root }: Plan, limit: number): Fault[] {
    return nodesOf(root).flatMap((node): Fault[] => {
      const [kind, rows] = judge(node, limit)
      return kind ? [{ kind, text: `${kind} (${rows} rows)\n${outline(root)}` }] : []
    })
  }
  function judge(node: PlanNode, limit: number): [kind: Fault['kind'] | undefined, rows: number] {
    const rows = rowsRead(node)
    if (readsAll(node)) return ['reads all', Math.max(node['Plan Rows'], rows)]
    // those in between that have been deleted are gone past
    if (tables.has(node['Relation Name'] ?? '') && rows > 2 * limit) return ['reads many', rows]
    const [input] = node.Plans ?? []
    const sorted =
      node['Node Type'] === 'Sort' && input ? Math.max(input['Plan Rows'], input['Actual Rows']) : 0
    return [sorted > limit ? 'sorts many' : undefined, sorted]
  }
  /** Of an index too, where only what comes later in it is known: it is all gone through, or skipped through. */
  function readsAll(node: PlanNode): boolean {
    const index = node['Index Name']
    if (index === undefined)
      return node['Node Type'] === 'Seq Scan' && tables.has(node['Relation Name'] ?? '')
    const column = leading.get(index)
    return column !== undefined && !new RegExp(`\\b${column}\\b`).test(node['Index Cond'] ?? '')
  }

  return { explain, faultsOf, end: () => sql.end() }
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

/** One node in a line, and what is below it. */
function outline(node: PlanNode, indent = '  '): string {
  const { 'Relation Name': table = '', 'Index Name': index = '', 'Index Cond': condition = '' } = node
  const line = [node['Node Type'], table, index, condition].filter(Boolean).join(' ')
  return [indent + line, ...(node.Plans ?? []).map((below) => outline(below, `${indent}  `))].join('\n')
}

/** The indexes that a statement read without the rows of their table. */
export function readAlone(plans: readonly Plan[]): string[] {
  const nodes = plans.flatMap(({ Plan }) => nodesOf(Plan))
  return nodes
    .filter((node) => node['Node Type'] === 'Index Only Scan')
    .map((node) => node['Index Name'] ?? '')
}

/** With those that it read in vain. */
function rowsRead(node: PlanNode): number {
  const { 'Rows Removed by Filter': filtered = 0, 'Rows Removed by Index Recheck': rechecked = 0 } = node
  if (node['Node Type'] === 'ModifyTable') return 0
  return Math.round((node['Actual Rows'] + filtered + rechecked) * node['Actual Loops'])
}

/** All but the list of migrations. */
async function grownTables(sql: postgres.Sql): Promise<Set<string>> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class
    where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'schema_migrations'`
  return new Set(tables.map(({ name }) => name))
}

/** The column that each index begins with, be it inside a function. */
async function leadingColumns(sql: postgres.Sql): Promise<Map<string, string>> {
  const indexes = await sql<{ name: string; leading: string }[]>`
    select relname as name, substring(pg_get_indexdef(indexrelid, 1, true) from '([a-z_]+)\\)*$') as leading
    from pg_index join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'public'::regnamespace`
  return new Map(indexes.map(({ name, leading }) => [name, leading]))
}
