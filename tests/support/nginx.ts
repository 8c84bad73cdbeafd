/** A real nginx, on a port and in a folder of its own. */
import { afterAll } from 'bun:test'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Where it is; null if it is not installed. */
export const NGINX = Bun.which('nginx', { PATH: `${process.env['PATH']}:/usr/sbin` })

// where the whole project is checked, a missing nginx is a fault and no reason to skip
if (!NGINX && process.env['REQUIRE_NGINX']) throw new Error('There is no nginx')

interface Site {
  port: number
  /** What is there besides, by name. */
  files: Record<string, string | Blob>
  /** Directives of the `server`. */
  locations: string
}

/** Starts it on 127.0.0.1, and ends it after all tests. */
export async function startNginx(command: string, { port, files, locations }: Site): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'taskwell-nginx-'))
  // as root, its workers are another user
  await chmod(folder, 0o755)
  for (const [name, content] of Object.entries(files)) await Bun.write(join(folder, 'site', name), content)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n')
  const file = join(folder, 'nginx.conf')
  await Bun.write(
    file,
    `daemon off;
pid ${folder}/pid;
error_log stderr;
worker_processes 1;
events {}
http {
  ${temporary}
  access_log off;
  types { text/html html; text/javascript js; }
  server {
    listen 127.0.0.1:${port};
    root ${folder}/site;
    ${locations}
  }
}
`,
  )
  const child = Bun.spawn([command, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] })
  afterAll(async () => {
    child.kill('SIGTERM')
    await child.exited
    await rm(folder, { recursive: true })
  })
  while (!(await isUp(port))) {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${await new Response(child.stderr).text()}`)
    await Bun.sleep(10)
  }
}

function isUp(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      done(true)
    })
    socket.on('error', () => done(false))
  })
}
