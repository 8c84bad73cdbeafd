import { expect, spyOn, test } from 'bun:test'
import { freePort } from '../../src/system/free-port'

test.each([1, 2])('of %d ports, none is in use', async (count) => {
  const taken = await freePort()
  const server = Bun.listen({ hostname: '127.0.0.1', port: taken, socket: { data() {} } })
  // the first try ends with the port that is taken
  const chance = (taken - (count - 1) - 10_000 + 0.5) / 20_000
  const random = spyOn(Math, 'random').mockReturnValueOnce(chance)
  const first = await freePort(count)
  expect(random.mock.calls.length).toBeGreaterThan(1)
  expect([first, first + count - 1]).not.toContain(taken)
  random.mockRestore()
  server.stop(true)
})
