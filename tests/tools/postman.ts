/** Postman: the converted collection, run by newman with the bodies that it has, and a test behind each request. */
import { join } from 'node:path'
import { runCommand } from './command'

interface Folder {
  item: (Folder | Item)[]
}

interface Item {
  request: { method: string; url: { path: string[]; query: Entry[]; variable: Entry[] }; header: Entry[] }
  event: unknown[]
}

interface Entry {
  key: string
  value: string
  disabled?: boolean
}

interface Call {
  send: string
  /** Parameters, and their values. */
  fill?: Record<string, string>
  status: number
  /** Of the answer, in the document. */
  schema?: object
  /** More lines of the test. */
  also?: string[]
}

const TASK = { id: '{{taskId}}' }
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const CALLS: Call[] = [
  {
    send: 'POST api/v1/auth/register',
    status: 201,
    schema: ref('Tokens'),
    also: ["pm.environment.set('bearerToken', pm.response.json().access_token)"],
  },
  {
    send: 'POST api/v1/todos',
    status: 201,
    schema: ref('Task'),
    also: [
      "pm.environment.set('taskId', pm.response.json().id)",
      "pm.environment.set('etag', pm.response.headers.get('ETag'))",
    ],
  },
  {
    send: 'GET api/v1/todos',
    fill: { count: 'true', limit: '10' },
    status: 200,
    schema: { type: 'array', minItems: 1, items: ref('Task') },
    also: ["pm.expect(pm.response.headers.get('X-Total-Count')).to.equal('1')"],
  },
  { send: 'GET api/v1/todos/:id', fill: TASK, status: 200, schema: ref('Task') },
  {
    send: 'PATCH api/v1/todos/:id',
    fill: { ...TASK, 'If-Match': '{{etag}}' },
    status: 200,
    schema: ref('Task'),
  },
  {
    send: 'PATCH api/v1/todos/:id',
    fill: { ...TASK, 'If-Match': '{{etag}}' },
    status: 412,
    schema: ref('TaskChanged'),
    also: ["pm.expect(pm.response.json().current.id).to.equal(pm.environment.get('taskId'))"],
  },
  { send: 'DELETE api/v1/todos/:id', fill: TASK, status: 204 },
]

export async function checkPostman(folder: string, url: string): Promise<void> {
  const options = 'parametersResolution=Example,enableOptionalParameters=false'
  await runCommand(folder, {
    run: ['openapi2postmanv2', '-s', 'openapi.json', '-o', 'collection.json', '-O', options],
    says: [/^Input file:/, /^Writing to file:/, /^[ }]/, /^Conversion successful/],
  })
  const file = join(folder, 'collection.json')
  const collection: Folder = await Bun.file(file).json()
  const { components } = await Bun.file(join(folder, 'openapi.json')).json()
  const items = collection.item.flatMap(itemsOf)
  await Bun.write(
    file,
    JSON.stringify({ ...collection, item: CALLS.map((call) => itemOf(call, items, components)) }),
  )
  await runCommand(folder, {
    run: [
      ...['newman', 'run', 'collection.json', '--env-var', `baseUrl=${url}`],
      ...['--reporter-cli-no-banner', '--reporter-cli-no-summary'],
    ],
    says: [/^Taskwell$/, /^→ /, /^ {2}(GET|POST|PATCH|DELETE) http/, /^ {2}✓ {2}as documented$/],
  })
}

function itemsOf(item: Folder | Item): Item[] {
  return 'item' in item ? item.item.flatMap(itemsOf) : [item]
}

/** @returns the item of the collection that sends this, with its parameters filled in, and a test */
function itemOf(call: Call, items: readonly Item[], components: object): Item {
  const found = items.find(({ request }) => call.send === `${request.method} ${request.url.path.join('/')}`)
  if (!found) throw new Error(`the collection has no ${call.send}`)
  const item = structuredClone(found)
  const { url, header } = item.request
  for (const entry of [...url.query, ...url.variable, ...header]) {
    const value = call.fill?.[entry.key]
    if (value !== undefined) Object.assign(entry, { value, disabled: false })
  }
  const test = [
    `pm.response.to.have.status(${call.status})`,
    call.schema && `pm.response.to.have.jsonSchema(${JSON.stringify({ ...call.schema, components })})`,
    ...(call.also ?? []),
  ]
  const exec = ["pm.test('as documented', () => {", ...test.filter((line) => line !== undefined), '})']
  item.event = [{ listen: 'test', script: { type: 'text/javascript', exec } }]
  return item
}
