/** A TCP proxy that stands between the service and its database, and fails in each way in which a network does. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { freePort } from '../../src/system/free-port'

/** What happens to those who connect. */
export type Welcome = 'pass' | 'close' | 'silence'

interface Link {
  client: Socket
  upstream: Socket | undefined
  isFrozen: boolean
  /** Ends both sides at once; the peers see a reset, or an end. */
  cut(): void
}

interface Loss {
  text: string
  left: number
}

export interface FaultProxy {
  port: number
  /** The address of a database as it is reached through here. */
  url(database: string): string
  /** From now on those who connect are served, closed at once, or taken and never answered. */
  welcome(how: Welcome): void
  /** Nobody listens any more. What is connected stays so. */
  refuse(): Promise<void>
  /** Takes connections again. */
  listen(): Promise<void>
  /** Ends all connections. */
  cut(): void
  /** What is connected falls silent for good: neither data nor an end comes through, as if a cable was pulled. */
  freeze(): void
  /** What was held back comes through. */
  thaw(): void
  /** Holds back what comes, each way, for so many milliseconds. */
  delay(milliseconds: number): void
  /** Counts, from now on, how often this text goes to the database. */
  count(text: string): () => number
  /** Lets what holds this text through, and cuts the connection when the answer comes; so many times. */
  loseAnswers(text: string, times: number): void
  /** How many go through here now. */
  connections(): number
  close(): Promise<void>
}

/** @param target where the database listens now; it may move */
export async function startFaultProxy(target: () => number): Promise<FaultProxy> {
  const port = await freePort()
  const links = new Set<Link>()
  const watched: { text: string; seen: number }[] = []
  const losses: Loss[] = []
  let server: Server | undefined
  let welcome: Welcome = 'pass'
  let delay = 0
  let thawed = Promise.resolve()
  let thaw = () => {}

  function accept(client: Socket): void {
    client.on('error', () => {})
    if (welcome === 'close') return void client.destroy()
    const upstream = welcome === 'pass' ? connect(target(), '127.0.0.1') : undefined
    const link: Link = { client, upstream, isFrozen: false, cut }
    links.add(link)
    let isLosing = false
    function cut(): void {
      links.delete(link)
      client.destroy()
      upstream?.destroy()
    }
    if (!upstream) return
    upstream.on('error', cut)
    carry(link, client, upstream, (data) => {
      observe(data)
      isLosing ||= takeLoss(data)
    })
    carry(link, upstream, client, () => {
      if (isLosing) cut()
    })
  }
  /** One way of a link. */
  function carry(link: Link, from: Socket, to: Socket, onData: (data: Buffer) => void): void {
    let last = Promise.resolve()
    const enqueue = (step: () => void) => {
      const due = performance.now() + delay
      last = last.then(async () => {
        const wait = due - performance.now()
        if (delay > 0 && wait > 0) await Bun.sleep(wait)
        if (link.isFrozen) await thawed
        step()
      })
    }
    from.on('data', (data: Buffer) =>
      enqueue(() => {
        onData(data)
        if (!to.destroyed) to.write(data)
      }),
    )
    from.on('close', () => enqueue(link.cut))
  }
  function observe(data: Buffer): void {
    for (const each of watched) if (data.includes(each.text)) each.seen++
  }
  function takeLoss(data: Buffer): boolean {
    const loss = losses.find(({ text, left }) => left > 0 && data.includes(text))
    if (loss) loss.left--
    return loss !== undefined
  }
  async function listen(): Promise<void> {
    if (server) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server = createServer(accept).once('error', reject).listen(port, '127.0.0.1', resolve)
    await promise
  }
  async function refuse(): Promise<void> {
    server?.close()
    server = undefined
    while (await isOpen(port)) await Bun.sleep(1)
  }

  await listen()
  return {
    port,
    url(database) {
      const url = new URL(database)
      url.port = String(port)
      return url.href
    },
    welcome: (how) => {
      welcome = how
    },
    refuse,
    listen,
    cut: () => {
      for (const link of links) link.cut()
    },
    freeze: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      thawed = promise
      thaw = resolve
      for (const link of links) link.isFrozen = true
    },
    thaw: () => {
      for (const link of links) link.isFrozen = false
      thaw()
    },
    delay: (milliseconds) => {
      delay = milliseconds
    },
    count(text) {
      const entry = { text, seen: 0 }
      watched.push(entry)
      return () => entry.seen
    },
    loseAnswers: (text, times) => void losses.push({ text, left: times }),
    connections: () => links.size,
    async close() {
      thaw()
      for (const link of links) link.cut()
      if (server) await refuse()
    },
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      done(true)
    }).on('error', () => done(false))
  })
}
