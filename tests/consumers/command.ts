/** Commands as a frontend developer gives them. */

/**
 * @returns what it writes to its standard output
 * @throws Error with all output if it fails
 */
export async function run(cwd: string, command: string[], env: Record<string, string> = {}): Promise<string> {
  const child = Bun.spawn(command, {
    cwd,
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = [child.stdout, child.stderr].map((stream) => new Response(stream).text())
  const [output = '', errors = ''] = await Promise.all(texts)
  if ((await child.exited) === 0) return output
  throw new Error(`${command.join(' ')}\n\n${output}\n${errors}`)
}
