/** Every relative link of a document leads to a file of the repository, and every anchor to a heading. */
import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const root = join(import.meta.dir, '../..')
const documents = ['*.md', 'docs/**/*.md'].flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(root)])

/** Without what is code, which is no link. */
async function proseOf(file: string): Promise<string> {
  const text = await Bun.file(join(root, file)).text()
  return text.replaceAll(/^```.*?^```/gms, '').replaceAll(/^(?: {4}|\t).*$/gm, '')
}

/** As GitHub makes them: https://github.com/gjtorikian/html-pipeline/blob/main/lib/html_pipeline/node_filter/table_of_contents_filter.rb */
async function anchorsOf(file: string): Promise<Set<string>> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of (await proseOf(file)).matchAll(/^#{1,6} (.*)$/gm)) {
    const text = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .trim()
      .toLowerCase()
    const anchor = text.replaceAll(/[^\p{L}\p{M}\p{N}_ -]/gu, '').replaceAll(' ', '-')
    let unique = anchor
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`
    anchors.add(unique)
  }
  return anchors
}

async function linksOf(file: string): Promise<string[]> {
  const prose = (await proseOf(file)).replaceAll(/`[^`\n]*`/g, '')
  const inline = [...prose.matchAll(/\]\(([^)\s]+)[^)]*\)/g), ...prose.matchAll(/^\[[^\]]+\]: (\S+)/gm)]
  const html = [...prose.matchAll(/<(?:a|img)\s[^>]*(?:href|src)="([^"]+)"/g)]
  return [...inline, ...html].map(([, target = '']) => target).filter((target) => !/^[a-z]+:/.test(target))
}

/** @returns why a link leads nowhere */
async function faultOf(file: string, link: string): Promise<string | undefined> {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? file : relative(root, join(root, dirname(file), decodeURIComponent(path)))
  if (target.startsWith('..') || !existsSync(join(root, target))) return `${link}: there is no ${target}`
  if (anchor === undefined) return undefined
  const isKnown = target.endsWith('.md') && (await anchorsOf(target)).has(decodeURIComponent(anchor))
  return isKnown ? undefined : `${link}: ${target} has no heading #${anchor}`
}

describe('links', () => {
  test('are looked for in each document', () => {
    expect(documents).toEqual(
      expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/api.md']),
    )
  })

  test('are found', async () => {
    expect(await linksOf('README.md')).toContain('docs/pictures/docs-page.png')
    expect(await linksOf('docs/api.md')).toContain('settings.md#limits')
  })

  test.each(documents)('of %s lead somewhere', async (file) => {
    const faults = await Promise.all((await linksOf(file)).map((link) => faultOf(file, link)))
    expect(faults.filter((fault) => fault !== undefined)).toEqual([])
  })
})
