/** A container engine of this machine, if it has one that can build the Dockerfile. */
import { fileURLToPath } from 'node:url'

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

/** docker and podman take the same arguments. */
export type Engine = 'docker' | 'podman'

/** In milliseconds. */
const ANSWER_DEADLINE = 10_000
const PULL_DEADLINE = 60_000
const PROBE_DEADLINE = 30_000
const BUILD_DEADLINE = 120_000

/** As narrow as compose.yaml has it; the network is the host's, where the test's database is. */
export const HARDENED = [
  '--network=host',
  '--no-healthcheck',
  '--read-only',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
  '--memory=256m',
]

/** @returns the engine, or a sentence that says why there is none to test with */
export async function findEngine(): Promise<{ engine: Engine } | { reason: string }> {
  const engine = (await answers('docker')) ? 'docker' : (await answers('podman')) ? 'podman' : undefined
  if (engine === undefined) return { reason: 'neither docker nor podman answers' }
  for (const image of await baseImages()) {
    if (!(await has(engine, image))) return { reason: `${engine} cannot get the base image ${image}` }
    if (!(await works(engine, image))) return { reason: `${engine} cannot build and run so much as \`true\`` }
  }
  return { engine }
}

/** Asks for the server too: a client alone can build nothing. */
async function answers(engine: Engine): Promise<boolean> {
  return Bun.which(engine) !== null && (await succeeds([engine, 'info']))
}

async function baseImages(): Promise<Set<string>> {
  const dockerfile = await Bun.file(`${PROJECT}/Dockerfile`).text()
  const stages = [...dockerfile.matchAll(/^FROM (\S+)(?: AS (\S+))?/gm)]
  const own = new Set(['scratch', ...stages.map(([, , name]) => name)])
  return new Set(stages.flatMap(([, image = '']) => (own.has(image) ? [] : [image])))
}

async function has(engine: Engine, image: string): Promise<boolean> {
  // podman pulls short names only where it has been told which registry they are of
  const name = `docker.io/${image}`
  const isHere = await succeeds([engine, 'image', 'inspect', name])
  return isHere || succeeds([engine, 'pull', name], PULL_DEADLINE)
}

/** Tells an engine that cannot work on this machine, no fault of ours, from a Dockerfile that is at fault. */
async function works(engine: Engine, image: string): Promise<boolean> {
  const tag = 'taskwell-check-probe'
  const dockerfile = new Blob([`FROM ${image}\nRUN true\n`])
  const canBuild = await succeeds([engine, 'build', `--tag=${tag}`, '-'], PROBE_DEADLINE, dockerfile)
  const canRun =
    canBuild && (await succeeds([engine, 'run', '--rm', ...HARDENED, tag, 'true'], PROBE_DEADLINE))
  if (canBuild) await succeeds([engine, 'image', 'rm', tag])
  return canRun
}

/** Runs a command to its end, quietly, and says whether it ended with 0. */
export async function succeeds(
  command: string[],
  timeout = ANSWER_DEADLINE,
  stdin: Blob | 'ignore' = 'ignore',
): Promise<boolean> {
  return (await Bun.spawn(command, { stdio: [stdin, 'ignore', 'ignore'], timeout }).exited) === 0
}

/**
 * Builds a stage of the Dockerfile; the last one if none is named.
 *
 * @throws Error with the engine's output if it cannot be built
 */
export async function buildImage(engine: Engine, tag: string, stage?: string): Promise<void> {
  // podman's own format has no health check
  const format = engine === 'podman' ? ['--format=docker'] : []
  const target = stage === undefined ? [] : [`--target=${stage}`]
  await succeed([engine, 'build', ...format, ...target, `--tag=${tag}`, PROJECT], BUILD_DEADLINE)
}

/**
 * Runs a command to its end.
 *
 * @returns its standard output
 * @throws Error with all of its output if it does not end with 0
 */
export async function succeed(command: string[], timeout = 60_000): Promise<string> {
  const child = Bun.spawn(command, { cwd: PROJECT, stdio: ['ignore', 'pipe', 'pipe'], timeout })
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  if ((await child.exited) === 0) return output
  throw new Error(`${command.join(' ')} failed\n${output}${errors}`)
}
