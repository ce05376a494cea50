// Verifies the post in the environment with each of Svix's and Standard Webhooks' own libraries for JavaScript, and an altered one.
const { Webhook: Svix } = require('svix')
const { Webhook: Standard } = require('standardwebhooks')
const { SECRET, POST } = process.env
const { headers, body } = JSON.parse(POST)
const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

for (const [name, library] of [['svix', Svix], ['standard', Standard]]) {
  new library(SECRET).verify(body, lower) // throws unless the signature is right
  console.log(name, JSON.parse(body).type)
}
for (const [name, library] of [['svix', Svix], ['standard', Standard]]) {
  try {
    new library(SECRET).verify(body.replace('user_1', 'user_2'), lower)
    console.log(name, 'takes the altered')
  } catch {
    console.log(name, 'refuses the altered')
  }
}
