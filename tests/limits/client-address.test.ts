import { describe, expect, test } from 'bun:test'
import { clientAddress } from '../../src/limits/client-address'

const PROXY = '10.0.0.1'

describe('the other end of the connection', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['2001:db8::1', '2001:db8::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['fe80::1%eth0.100', 'fe80::/64'],
    ['::1', '::/64'],
    ['/run/proxy.sock', 'unknown'],
    ['', 'unknown'],
  ])('%s counts as %s', (peer, key) => {
    expect(clientAddress(peer, null, 0)).toBe(key)
  })

  test('is unknown when the connection is gone', () => {
    expect(clientAddress(undefined, null, 0)).toBe('unknown')
    expect(clientAddress(undefined, '192.0.2.1', 0)).toBe('unknown')
    expect(clientAddress(undefined, 'unknown', 1)).toBe('unknown')
  })
})

describe('what a proxy of ours appended', () => {
  test.each([
    [1, '192.0.2.1', '192.0.2.1'],
    [1, ' 192.0.2.1\t', '192.0.2.1'],
    [1, '192.0.2.1:5678', '192.0.2.1'],
    [1, '"192.0.2.1:5678"', '192.0.2.1'],
    [1, '"192.0.2.1"', '192.0.2.1'],
    [1, '2001:db8::1', '2001:db8::/64'],
    [1, '[2001:db8::1]', '2001:db8::/64'],
    [1, '[2001:db8::1]:5678', '2001:db8::/64'],
    [1, '"[2001:db8::1]:5678"', '2001:db8::/64'],
    [1, '[fe80::1%eth0]:5678', 'fe80::/64'],
    [1, '[::ffff:192.0.2.1]:5678', '192.0.2.1'],
    [2, '192.0.2.1, 10.0.0.2', '192.0.2.1'],
    [3, '192.0.2.1,10.0.0.3,10.0.0.2', '192.0.2.1'],
  ])('%i hops believe %s', (hops, forwardedFor, key) => {
    expect(clientAddress(PROXY, forwardedFor, hops)).toBe(key)
  })

  test.each([
    ['fewer entries than hops', 3, '192.0.2.1, 10.0.0.2', '192.0.2.1'],
    ['no entry', 2, '', PROXY],
    ['no address', 1, 'unknown', PROXY],
    ['no address beyond another proxy', 2, 'unknown, 10.0.0.2', '10.0.0.2'],
    ['an empty entry', 2, ', 10.0.0.2', '10.0.0.2'],
    ['only empty entries', 3, ', ,', PROXY],
  ])('%s: the nearest address towards us counts', (_, hops, forwardedFor, key) => {
    expect(clientAddress(PROXY, forwardedFor, hops)).toBe(key)
  })

  test('is all that counts where the connection has no address, as that of a Unix socket', () => {
    expect(clientAddress(undefined, '192.0.2.1', 1)).toBe('192.0.2.1')
  })
})

describe('a client cannot choose its address', () => {
  // what the client sends, how many proxies are ours, and what arrives once they appended what they saw
  test.each([
    ['without a proxy', '198.51.100.9', 0, '198.51.100.9'],
    ['through one', '198.51.100.9', 1, '198.51.100.9, 192.0.2.1'],
    ['through one, with a list', '198.51.100.9, 198.51.100.8', 1, '198.51.100.9, 198.51.100.8, 192.0.2.1'],
    ['through one, with rubbish', 'a"b', 1, 'a"b, 192.0.2.1'],
    ['through one, with an open quote', '"198.51.100.9', 1, '"198.51.100.9, 192.0.2.1'],
    ['through one, with an open bracket', '[::1', 1, '[::1, 192.0.2.1'],
    ['through one, with empty entries', '198.51.100.9,,', 1, '198.51.100.9,,, 192.0.2.1'],
    ['through two', '198.51.100.9', 2, '198.51.100.9, 192.0.2.1, 10.0.0.2'],
    [
      'through two, with our proxies as bait',
      '10.0.0.2, 10.0.0.1',
      2,
      '10.0.0.2, 10.0.0.1, 192.0.2.1, 10.0.0.2',
    ],
    ['through one that found its own address', '127.0.0.1', 1, '127.0.0.1, 192.0.2.1'],
  ])('%s: %j', (_, __, hops, arrives) => {
    const peer = hops === 0 ? '192.0.2.1' : PROXY
    expect(clientAddress(peer, arrives, hops)).toBe('192.0.2.1')
  })

  test.each([
    '127.1',
    '0x7f.0.0.1',
    '017.0.0.1',
    '2130706433',
    '192.0.2.256',
    '192.0.2',
    '192.0.2.1/24',
    '192.0.2.1%eth0',
    '192.0.2.1 198.51.100.9',
    '192.0.2.1:5:6',
    '192.0.2.1:port',
    '[192.0.2.1',
    '[2001:db8::1]5',
    '2001:db8::1::2',
    '2001:db8:::1',
    '１９２.0.2.1',
    '192.0.2.1\u0000',
    'localhost',
    'for=192.0.2.1',
    '_hidden',
    '-',
    '""',
    '[]',
  ])('%j is no address', (entry) => {
    expect(clientAddress(PROXY, entry, 1)).toBe(PROXY)
  })

  test('by a header that takes long to read', () => {
    const hostile = [
      ','.repeat(16_000),
      `"${' '.repeat(16_000)}x`,
      `${'1.'.repeat(8000)}:x`,
      '['.repeat(16_000),
    ]
    for (const forwardedFor of hostile) {
      const begun = performance.now()
      expect(clientAddress(PROXY, `${forwardedFor},192.0.2.1`, 100)).toBe('192.0.2.1')
      expect(performance.now() - begun).toBeLessThan(1000)
    }
  })
})
