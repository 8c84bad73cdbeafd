/** Writes answers as JSON text that can be kept: Elysia trap 25 (docs/elysia.md). */
import type { TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { ValidationError } from 'elysia'

/** @returns a function that writes a value as JSON; it throws ValidationError, as Elysia does, if the schema does not fit */
export function writer<Schema extends TSchema>(schema: Schema): (value: Schema['static']) => string {
  // compiled with the first answer, as Elysia does with its own
  let check: TypeCheck<Schema> | undefined
  return (value) => {
    check ??= TypeCompiler.Compile(schema)
    if (!check.Check(value)) throw new ValidationError('response', schema, value)
    return JSON.stringify(value)
  }
}
