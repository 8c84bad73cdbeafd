import { expect, test } from 'bun:test'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commandOf, npxEnded, procfs, ps } from '../../src/system/processes'

const tables = process.platform === 'linux' ? { procfs, ps } : { ps }

test.each(Object.entries(tables))(
  '%s knows the command and the parent of a process until it ends',
  async (_, table) => {
    expect(table.commandOf(process.pid)).toContain('test')
    expect(table.parentOf(process.pid)).toBe(process.ppid)
    const child = Bun.spawn(['true'])
    await child.exited
    expect(table.commandOf(child.pid)).toBe('')
    expect(table.parentOf(child.pid)).toBe(0)
  },
)

test('the npx above a process is noticed when it ends', async () => {
  // npm calls itself so; the shell's child tells its own id
  const npx = Bun.spawn(['sh', '-c', 'sleep 60 & echo $!; wait'], {
    argv0: 'npm exec taskwell',
    stdout: 'pipe',
  })
  const { value } = await npx.stdout.getReader().read()
  const pid = Number(new TextDecoder().decode(value))
  const ended = npxEnded(pid)
  npx.kill('SIGKILL')
  await npx.exited
  await ended
  process.kill(pid)
})

test('an npx that ended before anybody looked is noticed by what it left behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-left-'))
  await writeFile(join(folder, 'stay.ts'), 'setInterval(() => {}, 1000)')
  // the shell ends at once, and leaves a `bun run`
  const shell = Bun.spawn(
    ['sh', '-c', `"${process.execPath}" run "${folder}/stay.ts" > /dev/null 2>&1 & echo $!`],
    {
      stdout: 'pipe',
    },
  )
  const pid = Number(await new Response(shell.stdout).text())
  await shell.exited
  // the shell's child is a shell before it is Bun
  while (!commandOf(pid).startsWith(process.execPath)) await Bun.sleep(1)
  await npxEnded(pid, '/home/ann/.npm/_npx/1/node_modules/bun/bin/bun')
  const elsewhere = npxEnded(pid, '/usr/local/bin/bun').then(() => 'ended')
  process.kill(pid)
  await rm(folder, { recursive: true })
  expect(await Promise.race([elsewhere, Promise.resolve('waiting')])).toBe('waiting')
})

test('without an npx there is no end to notice', async () => {
  const outcome = await Promise.race([npxEnded(0).then(() => 'ended'), Promise.resolve('waiting')])
  expect(outcome).toBe('waiting')
})
