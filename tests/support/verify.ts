import { createVerify, type FindByApiToken } from '../../src/auth/verify'
import { backgroundContext } from '../../src/database/query-context'

const noTokens: FindByApiToken = () => {
  throw new Error('There is no database')
}

/** A check for JWTs alone, which needs no request. */
export function verifyJwts(settings: Parameters<typeof createVerify>[0]) {
  const verify = createVerify(settings, noTokens)
  return (authorization: string | null) => verify(authorization, backgroundContext(1000))
}
