/** The compiler checks that the client's types are those that Eden makes of the server's routes. */
import type { Treaty } from '@elysiajs/eden'
import type { App } from '../../src/app'
import type { Calls } from '../../src/client/calls'

type Equal<A, B> = [A, B] extends [B, A] ? true : false

/** In what the client sends, a member that may be left out may also be undefined. */
type Sent<Value> = Value extends object ? Defined<Value> : never
type Defined<Value> = Value extends (infer Item)[]
  ? Defined<Item>[]
  : Value extends object
    ? { [Name in keyof Value]: Defined<Exclude<Value[Name], undefined>> }
    : Value

/** The names of a query's parameters with their types; a route without any has an index in Eden's types. */
type QueryOf<Options> =
  Exclude<Options, undefined> extends { query?: infer Query }
    ? string extends keyof Exclude<Query, undefined>
      ? never
      : Sent<Exclude<Query, undefined>>
    : never

/** A GET has options alone, other methods a body and options. */
type InputOf<Given extends unknown[]> = Given extends [
  options?: { fetch?: RequestInit | undefined } | undefined,
]
  ? { query: QueryOf<Given[0]> }
  : { body: Sent<Given[0]>; query: QueryOf<Given[1]> }

/** Such as `404 TASK_NOT_FOUND`. Only the client knows of answers that never came. */
type CodesOf<Failure> = Failure extends {
  status: infer Status extends number
  value: { error_code: infer Code extends string }
}
  ? Exclude<`${Status} ${Code}`, '503 NO_ANSWER'>
  : never

/** What a call gives: after a 204 empty text, for which Eden's type is void; Eden does not know what events hold. */
type DataOf<Data> = undefined extends Data ? '' : Data extends AsyncGenerator ? string : Exclude<Data, null>

type SignatureOf<Call> = Call extends (...given: infer Given) => Promise<infer Answer>
  ? [Answer] extends [{ data: unknown; error: unknown }]
    ? { input: InputOf<Given>; data: DataOf<Answer['data']>; codes: CodesOf<Answer['error']> }
    : never
  : never

/** The paths of the calls that Eden types otherwise; never, if there is none. */
type Differences<Ours, Theirs, Path extends string = ''> =
  | {
      [Name in keyof Ours & string]: Name extends keyof Theirs
        ? Name extends 'get' | 'post' | 'put' | 'patch' | 'delete'
          ? Equal<SignatureOf<Ours[Name]>, SignatureOf<Theirs[Name]>> extends true
            ? never
            : `${Path}/${Name}`
          : Differences<Ours[Name], Theirs[Name], `${Path}/${Name}`>
        : `${Path}/${Name}`
    }[keyof Ours & string]
  | (Ours extends (params: infer Params) => infer Next
      ? Theirs extends (params: Params) => infer TheirNext
        ? Differences<Next, TheirNext, `${Path}/:`>
        : `${Path}/:`
      : never)

type Found = Differences<Calls, Treaty.Sign<App['~Routes']>>

/** Does not compile if there is a difference; the message has the paths. */
export const differences: [Found] extends [never] ? 'none' : Found = 'none'
