import postgres from 'postgres-stock'

/**
 * Stock postgres.js, as several clients of one connection each that take turns.
 *
 * One client of many connections, as most would write it, gets slower with every query while more callers wait than it
 * has connections, and does not recover: its queue keeps a place for all that has left it, and is searched from the
 * start. How slow it is would tell how long was measured. One connection sends ahead instead, and has no such queue.
 *
 * There are four of them, because ten were no faster.
 *
 * @returns a function that gives the next client
 */
export function clients<Types extends Record<string, postgres.PostgresType>>(
  url: string,
  options: postgres.Options<Types> = {},
): () => postgres.Sql {
  const connect = () => postgres(url, { ...options, max: 1 })
  const first = connect()
  const all = [first, connect(), connect(), connect()]
  let turn = 0
  return () => all[turn++ % all.length] ?? first
}
