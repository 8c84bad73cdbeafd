/** Writes answers as JSON text, so that the text can be kept. */
import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { ValidationError } from 'elysia'

/**
 * @returns a function that writes a value as JSON, and throws the error that Elysia would for one which is not of the
 *   schema
 */
export function writer<Schema extends TSchema>(schema: Schema): (value: Schema['static']) => string {
  // made with the first answer, as Elysia makes its own
  let check: TypeCheck<Schema> | undefined
  return (value) => {
    check ??= TypeCompiler.Compile(schema)
    if (!check.Check(value)) throw new ValidationError('response', schema, value)
    return JSON.stringify(value)
  }
}
