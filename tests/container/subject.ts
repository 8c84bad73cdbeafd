/** What is tested: the image, or where no engine can build it, the same binary on this machine. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildImage, type Engine, findEngine, HARDENED, PROJECT, succeed, succeeds } from './engine'

type Environment = Readonly<Record<string, string>>

export interface Run {
  /** All that it has written, once it has ended. */
  output: Promise<string>
  /** Its exit code, once it has ended. */
  exited: Promise<number>
  kill(signal: 'SIGTERM'): void
  /** As the kernel tells, while it runs; 0 is root. */
  userId(): Promise<number>
}

export interface ImageFacts {
  user: string
  /** Names only. */
  variables: readonly string[]
  /** The instructions that made it. */
  history: string
}

export interface Subject {
  title: 'the image' | 'the binary, not the image'
  /** With what it is built and run, or why it is no image. */
  means: string
  /** Runs the service's program with these variables and no others. */
  run(env: Environment, ...args: string[]): Run
  /** Runs the migrations as a deployment does. */
  migrate(env: Environment): Run
  /** What the image says of itself; undefined if there is no image. */
  image: ImageFacts | undefined
  /** Ends what still runs, and removes what was built. */
  dispose(): Promise<void>
}

/** The unprivileged account of the image. */
const ACCOUNT = 65532

/** Builds what can be built here. */
export async function createSubject(): Promise<Subject> {
  const found = await findEngine()
  return 'engine' in found ? imageSubject(found.engine) : binarySubject(found.reason)
}

async function imageSubject(engine: Engine): Promise<Subject> {
  const id = crypto.randomUUID().slice(0, 8)
  const [service, migrate] = [`taskwell-check:${id}`, `taskwell-check-migrate:${id}`]
  const nameOf = (index: number) => `taskwell-check-${id}-${index}`
  const runs: Run[] = []

  function run(image: string, env: Environment, args: string[]): Run {
    const name = nameOf(runs.length)
    // by name alone, so that no value stands in an argument
    const variables = Object.keys(env).map((each) => `--env=${each}`)
    const command = [engine, 'run', `--name=${name}`, ...HARDENED, ...variables, image, ...args]
    // the client hands signals on to the container and ends with its exit code
    const started = start(command, { env: { ...process.env, ...env } }, async () =>
      Number(await succeed([engine, 'inspect', '--format={{.State.Pid}}', name])),
    )
    runs.push(started)
    return started
  }

  await buildImage(engine, service)
  await buildImage(engine, migrate, 'migrate')
  return {
    title: 'the image',
    means: `built and run by ${engine}`,
    run: (env, ...args) => run(service, env, args),
    migrate: (env) => run(migrate, env, []),
    image: await imageFacts(engine, service),
    async dispose() {
      await endAll(runs)
      // kept until here, because an engine may lose the exit code of a container that removes itself
      for (const index of runs.keys()) await succeeds([engine, 'rm', '--force', nameOf(index)])
      await succeed([engine, 'image', 'rm', service, migrate])
    },
  }
}

async function imageFacts(engine: Engine, tag: string): Promise<ImageFacts> {
  const [{ Config }] = JSON.parse(await succeed([engine, 'image', 'inspect', tag]))
  return {
    user: Config.User,
    variables: Config.Env.map((variable: string) => variable.split('=')[0]),
    history: await succeed([engine, 'history', '--no-trunc', '--format={{.CreatedBy}}', tag]),
  }
}

async function binarySubject(reason: string): Promise<Subject> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-check-'))
  const binary = join(folder, 'taskwell')
  await compile(binary).catch(async (error) => {
    await rm(folder, { recursive: true })
    throw error
  })
  await chmod(folder, 0o755)
  const account = process.getuid?.() === 0 ? { uid: ACCOUNT, gid: ACCOUNT } : {}
  const runs: Run[] = []

  function run(command: string[], options: SpawnOptions): Run {
    const started = start(command, options, async (pid) => pid)
    runs.push(started)
    return started
  }

  return {
    title: 'the binary, not the image',
    means: reason,
    run: (env, ...args) =>
      run([binary, ...args], { ...account, cwd: '/', env: { NODE_ENV: 'production', ...env } }),
    migrate: (env) =>
      run([process.execPath, '--no-env-file', 'src/main.ts', 'db', 'up'], {
        env: { NODE_ENV: 'production', ...env },
      }),
    image: undefined,
    async dispose() {
      await endAll(runs)
      await rm(folder, { recursive: true })
    },
  }
}

/** With the very command of the Dockerfile, but for the place of the result. */
async function compile(binary: string): Promise<void> {
  const dockerfile = await Bun.file(`${PROJECT}/Dockerfile`).text()
  const [, args] = /^RUN bun ((?:run )?build(?:.*\\\n)*.*)$/m.exec(dockerfile) ?? []
  if (args === undefined) throw new Error('The Dockerfile has no RUN bun build')
  const command = `"$0" ${args.replaceAll('\\\n', '')} --outfile "$1"`
  await succeed(['sh', '-c', command, process.execPath, binary])
}

type SpawnOptions = Pick<Bun.Spawn.SpawnOptions<'ignore', 'pipe', 'pipe'>, 'cwd' | 'env' | 'uid' | 'gid'>

function start(command: string[], options: SpawnOptions, pidInside: (pid: number) => Promise<number>): Run {
  const child = Bun.spawn(command, { cwd: PROJECT, ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const written = [child.stdout, child.stderr].map((each) => new Response(each).text())
  return {
    output: Promise.all(written).then((texts) => texts.join('')),
    exited: child.exited,
    kill: (signal) => child.kill(signal),
    userId: async () => userIdOf(await pidInside(child.pid)),
  }
}

async function userIdOf(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text()
  return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])
}

async function endAll(runs: readonly Run[]): Promise<void> {
  for (const run of runs) run.kill('SIGTERM')
  await Promise.all(runs.map((run) => run.exited))
}
