/** What is tried of a server, and given up if the pooler in front of it refuses it. */
import { codeOf } from '../system/errors'

export interface Features {
  /** Set on each connection. */
  serverSettings: Record<string, string | number>
  /** Whether statements are prepared. */
  prepare: boolean
}

/** Poolers take these settings, because they are part of the protocol. */
const TIME_FORMAT = { DateStyle: 'ISO', TimeZone: 'UTC' }

export function allFeatures(requestTimeout: number, prepare: boolean): Features {
  const serverSettings = {
    // ends statements that we can no longer cancel, because our process has died
    statement_timeout: requestTimeout,
    // each statement has one plan that suits all parameters, and planning a list takes as long as running it
    plan_cache_mode: 'force_generic_plan',
    ...TIME_FORMAT,
  }
  return { serverSettings, prepare }
}

/** @returns what is left of the features, and what to log, if the statement failed because one of them was refused */
export function withoutRefused({ serverSettings, prepare }: Features, error: unknown) {
  const code = codeOf(error)
  const hasSettings = Object.keys(serverSettings).length > 0
  // without `statement_timeout` we rely on cancel requests, which poolers accept
  if (hasSettings && code === '08P01' && /startup param/.test(String(error))) {
    return {
      features: { prepare, serverSettings: 'statement_timeout' in serverSettings ? TIME_FORMAT : {} },
      /** Every connection was refused, so no statement has run. */
      isOfConnections: true,
      level: 'info' as const,
      message: 'the pooler takes no settings such as statement_timeout: going on without',
    }
  }
  if (prepare && code === '26000') {
    return {
      features: { prepare: false, serverSettings },
      isOfConnections: false,
      level: 'warn' as const,
      message: 'the pooler loses prepared statements: going on without them; set DATABASE_PREPARE=off',
    }
  }
  return undefined
}
