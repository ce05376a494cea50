// Does to the emulator what a team does to Clerk, by Clerk's own library for JavaScript, and prints what came of it, a line each.
// At the end it prints the events that came and that this library's verifyWebhook took.
import http from 'node:http'
import { createClerkClient, verifyToken } from '@clerk/backend'
import { verifyWebhook } from '@clerk/backend/webhooks'

const { API_URL, SECRET_KEY, WEBHOOK_SECRET, PORT, EVENTS } = process.env
const clerk = createClerkClient({ secretKey: SECRET_KEY, apiUrl: API_URL })

const events = []
const receiver = http.createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const delivery = new Request('http://127.0.0.1/', { method: 'POST', headers: request.headers, body: Buffer.concat(chunks) })
  const event = await verifyWebhook(delivery, { signingSecret: WEBHOOK_SECRET })
  events.push(event.type)
  response.writeHead(204).end()
  if (events.length === Number(EVENTS)) end()
}).listen(PORT, '127.0.0.1')
setTimeout(end, 20_000).unref() // where events are missing

function end() {
  console.log(events.join(' '))
  process.exit()
}

async function told(doing, asked) {
  try {
    console.log(doing, JSON.stringify(await asked()))
  } catch (err) {
    console.log(doing, 'failed:', err.status, err.errors?.[0]?.code, err.message)
  }
}

const { users, organizations, invitations, sessions } = clerk
const ada = await users.createUser({ emailAddress: ['ada@example.com'], firstName: 'Ada', lastName: 'Byron', publicMetadata: { born: 1815 }, skipPasswordRequirement: true })
const bob = await users.createUser({ emailAddress: ['bob@example.com'], skipPasswordRequirement: true })
await told('get', async () => (await users.getUser(ada.id)).primaryEmailAddress.emailAddress)
await told('list', async () => (await users.getUserList({ orderBy: '-created_at', limit: 2 })).totalCount)
await told('by address', async () => (await users.getUserList({ emailAddress: ['ada@example.com'] })).data.map((u) => u.fullName))
await told('count', () => users.getCount())
await told('rename', async () => (await users.updateUser(ada.id, { lastName: 'Lovelace', username: 'ada', externalId: 'ours-1' })).fullName)
await told('metadata', async () => (await users.updateUserMetadata(ada.id, { publicMetadata: { born: null, admin: true } })).publicMetadata)
await told('ban', async () => (await users.banUser(bob.id)).banned)
await told('unban', async () => (await users.unbanUser(bob.id)).banned)
await told('lock', async () => (await users.lockUser(bob.id)).locked)
await told('unlock', async () => (await users.unlockUser(bob.id)).locked)

const engine = await organizations.createOrganization({ name: 'Engine', slug: 'engine', createdBy: ada.id })
const organizationId = engine.id
await told('by slug', async () => (await organizations.getOrganization({ slug: 'engine' })).id === organizationId)
await told('members count', async () => (await organizations.getOrganizationList({ includeMembersCount: true })).data.map((o) => o.membersCount))
await told('rename it', async () => (await organizations.updateOrganization(organizationId, { name: 'Engines' })).name)
await told('join', async () => (await organizations.createOrganizationMembership({ organizationId, userId: bob.id, role: 'org:member' })).role)
await told('promote', async () => (await organizations.updateOrganizationMembership({ organizationId, userId: bob.id, role: 'org:admin' })).role)
await told('members', async () => (await organizations.getOrganizationMembershipList({ organizationId })).data.map((m) => m.role))
await told("a user's", async () => (await users.getOrganizationMembershipList({ userId: bob.id })).data.map((m) => m.organization.name))
await told('leave', async () => (await organizations.deleteOrganizationMembership({ organizationId, userId: bob.id })).publicUserData.userId === bob.id)
await told('invite to it', async () => (await organizations.createOrganizationInvitation({ organizationId, emailAddress: 'eve@example.com', role: 'org:member', inviterUserId: ada.id })).status)
await told('invited to it', async () => (await organizations.getOrganizationInvitationList({ organizationId })).data.map((i) => i.emailAddress))
await told('its domain', async () => (await organizations.createOrganizationDomain({ organizationId, name: 'engine.example', enrollmentMode: 'manual_invitation' })).name)

const invitation = await invitations.createInvitation({ emailAddress: 'eve@example.com' })
await told('invited', async () => (await invitations.getInvitationList({ status: 'pending' })).totalCount)
await told('revoke', async () => (await invitations.revokeInvitation(invitation.id)).status)

const session = await sessions.createSession({ userId: ada.id })
await told('sessions', async () => (await sessions.getSessionList({ userId: ada.id })).data.map((s) => s.status))
await told('token', async () => (await verifyToken((await sessions.getToken(session.id)).jwt, { secretKey: SECRET_KEY, apiUrl: API_URL })).sub === ada.id)
await told('end', async () => (await sessions.revokeSession(session.id)).status)

await told('instance', async () => (await clerk.instance.get()).environmentType)
await told('nobody', () => users.getUser('user_nobody'))
await told('too many', () => users.getUserList({ limit: 501 }))
await told('twice', () => users.createUser({ emailAddress: ['bob@example.com'], skipPasswordRequirement: true }))
await told('dissolve', async () => (await organizations.deleteOrganization(organizationId)).deleted)
await told('delete', async () => (await users.deleteUser(ada.id)).id === ada.id)
