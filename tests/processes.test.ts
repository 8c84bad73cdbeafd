import { expect, test } from 'bun:test'
import { npxEnded, procfs, ps } from '../src/processes'

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

test('without an npx there is no end to notice', async () => {
  const outcome = await Promise.race([npxEnded(1).then(() => 'ended'), Promise.resolve('waiting')])
  expect(outcome).toBe('waiting')
})
