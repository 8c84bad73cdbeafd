/** A primary and its standby, which has whatever the primary has acknowledged. */
import { afterAll } from 'bun:test'
import { migrate } from '../../src/database/migrations'
import { type Cluster, createCluster, openCluster, PASSWORD } from './postgres-cluster'

export interface PostgresPair {
  primary: Cluster
  standby: Cluster
  /** Starts them again, as they were. */
  startPrimary(): Promise<void>
  startStandby(): Promise<void>
  /** Starts one that was stopped as the standby of the other. */
  startAsStandby(one: Cluster, other: Cluster): Promise<void>
  /** Makes the standby a primary, and waits until it takes writes. The other one is not told. */
  promote(): Promise<void>
  remove(): Promise<void>
}

const STANDBY = 'second'

/** Makes what the pairs of a file begin as, and removes it after the file's tests. @returns what starts a pair, migrated */
export async function preparePairs(): Promise<() => Promise<PostgresPair>> {
  const model = await createCluster()
  await model.start()
  await migrate(model.url(), 'up', true)
  await model.stop()
  afterAll(model.remove)
  return () => startPair(model)
}

async function startPair(model: Cluster): Promise<PostgresPair> {
  const [primary, standby] = await Promise.all([copyOf(model), copyOf(model)])
  const startPrimary = () => primary.start({ synchronous_standby_names: STANDBY })
  const startStandby = () => startAsStandby(standby, primary)
  await startPrimary()
  await startStandby()
  while ((await primary.sql()`select from pg_stat_replication where sync_state = 'sync'`).length === 0)
    await Bun.sleep(10)
  return {
    primary,
    standby,
    startPrimary,
    startStandby,
    startAsStandby,
    async promote() {
      await standby.sql()`select pg_promote()`
    },
    async remove() {
      await Promise.all([primary.remove(), standby.remove()])
    },
  }
}

async function copyOf({ folder }: Cluster): Promise<Cluster> {
  const copy = `${folder}-${crypto.randomUUID()}`
  await run(['cp', '-a', folder, copy])
  return openCluster(copy)
}

async function startAsStandby(one: Cluster, other: Cluster): Promise<void> {
  await one.write('standby.signal', '')
  const primary_conninfo = `host=127.0.0.1 port=${other.port} user=postgres password='${PASSWORD}' application_name=${STANDBY}`
  await one.start({ primary_conninfo })
}

async function run(command: string[]): Promise<void> {
  if ((await Bun.spawn(command).exited) !== 0) throw new Error(`${command[0]} failed`)
}
