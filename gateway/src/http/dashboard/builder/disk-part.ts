import type { DiskStatus } from '#api/status/disk.ts'
import { html, type Html } from '../parts/html.ts'
import { mark } from '../parts/mark.ts'
import { sizeText } from '../parts/size.ts'
import { facts } from '../parts/tables.ts'

/** The file system of the build cache, as the kernel says it. */
export function diskPart({ ok, detail, freeBytes, sizeBytes, growth }: DiskStatus): Html {
  const used = sizeBytes - freeBytes
  const percent = sizeBytes > 0 ? Math.round((100 * used) / sizeBytes) : 0
  return html`<p>
      ${mark(ok ? 'good' : 'bad', ok ? 'room' : 'full')}
      ${ok ? `${sizeText(freeBytes)} of ${sizeText(sizeBytes)} free` : detail}
    </p>
    ${facts([
      [
        'Used',
        html`<meter min="0" max="100" value="${percent}" aria-label="Used part of the disk">
            ${percent} %
          </meter>
          ${percent} %: ${sizeText(used)} of ${sizeText(sizeBytes)}`,
      ],
      [
        'Grows',
        growth
          ? growth.limitGb === null
            ? 'no'
            : `at ${growth.thresholdPercent} % used, up to ${growth.limitGb} GB, by ${growth.by}`
          : null,
      ],
    ])}
    ${growth?.warning && html`<p class="lines">${mark('warning', 'warning')} ${growth.warning}</p>`}`
}
