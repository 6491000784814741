import type { RequestHandler } from 'express'
import { DoctorRequest } from '#api/doctor/report.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf } from '../auth.ts'
import { jsonObject } from '../body/small-body.ts'

/** `POST /v1/doctor`: a `DoctorRequest` as JSON; `{}` leaves nothing behind. */
export function examineGateway({ doctor }: Pick<Commands, 'doctor'>): RequestHandler {
  return async (request, response) => {
    const read = DoctorRequest.safeParse(await jsonObject(request, response))
    if (read.success) return void response.json(await doctor(callerOf(request), read.data))
    const [issue] = read.error.issues
    const place = issue?.path.map(String).join('.') || 'the body'
    throw new Problem('option-invalid', `${place}: ${issue?.message ?? 'it cannot be used'}`)
  }
}
