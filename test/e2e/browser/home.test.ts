import { expect, test } from 'vitest'
import { lab, openPage } from './open-page.ts'

test('home names the first command, with the address of this gateway', async () => {
  await using ui = await openPage()
  const text = await ui.page.getByRole('main').innerText()
  if (text.includes('Nothing is deployed yet'))
    expect(text).toContain(`TARMAC_GATEWAY=${lab.gateway}`)
  await ui.screenshot('home-empty')
  await ui.assertAccessible()
})
