// Signs an event with each of Svix's and Standard Webhooks' own libraries for JavaScript and posts it to the address in the
// environment. Prints one line a delivery: which one it is, and the status of the answer.
const { Webhook: Svix } = require('svix')
const { Webhook: Standard } = require('standardwebhooks')
const { ENDPOINT, SECRET, BODY } = process.env

async function post(name, library, prefix, body, at, alter) {
  const id = `msg_${name}`
  const headers = {
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: Math.floor(at / 1000).toString(),
    [`${prefix}-signature`]: new library(SECRET).sign(id, at, body),
  }
  const answer = await fetch(ENDPOINT, { method: 'POST', headers, body: alter(body) })
  console.log(name, answer.status)
}

async function main() {
  const same = (body) => body
  const now = new Date()
  await post('svix', Svix, 'svix', BODY, now, same)
  await post('standard', Standard, 'webhook', BODY, now, same)
  await post('unicode', Svix, 'svix', BODY.replace('Ada', 'Ἀδα 😀'), now, same)
  await post('altered', Svix, 'svix', BODY, now, (body) => body.replace('Ada', 'Eve'))
  await post('old', Svix, 'svix', BODY, new Date(now - 6 * 60 * 1000), same)
}
main()
