/** What the commands are told: the environment, and in development the file `.env`. */
import { existsSync } from 'node:fs'
import { type DatabaseSettings, loadDatabaseSettings, loadSettings, type Settings } from '../settings'
import { keptSecret } from '../system/kept-secret'

/**
 * In development `.env` adds the variables that the environment does not set.
 *
 * @throws Error if `.env` cannot be read
 */
function readEnvironment(): NodeJS.ProcessEnv {
  if (process.env.NODE_ENV === 'production' || !existsSync('.env')) return process.env
  try {
    process.loadEnvFile('.env')
  } catch (cause) {
    // for example a folder: Docker makes one if a mounted file does not exist
    throw new Error(`.env cannot be read: ${cause instanceof Error ? cause.message : cause}`, { cause })
  }
  return process.env
}

/** @throws SettingsError that names every variable at fault */
export function readSettings(): Settings {
  return loadSettings(readEnvironment(), (dataDir) => keptSecret(dataDir, 'secret'))
}

/** @throws SettingsError that names every variable at fault */
export function readDatabaseSettings(): DatabaseSettings {
  return loadDatabaseSettings(readEnvironment())
}
