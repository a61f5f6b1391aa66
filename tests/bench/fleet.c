/* SPDX-License-Identifier: Apache-2.0 */
/* Very many agents in one process: each with its own key, certificate and connection, the protocol and the TLS of the real one (dialling,
 * back-off and channel are its code), but nothing to serve: of what it is sent it keeps the digests, takes them for right and
 * acknowledges at once. So what is measured is the control plane, not caches and disks of agents.
 *
 *   fleet PORT FILE
 *
 *     WAITING --> DIALLING --> SHAKING HANDS, GREETING --Welcome--> OPEN
 *        ^            |                   |                          |
 *        +------------+---back-off--------+--------------------------+
 *
 * FILE is fleet_enrol's. Runs until it is ended; says as lines of JSON, times by the monotonic clock, in seconds:
 *   {"event": "connected", "at", "failures"}      all have been welcomed; attempts that came to nothing since the last such line
 *   {"event": "acked", "revision", "first", "at"} all have acknowledged this revision: the first, the last of them */
#include "base/log.h"
#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/key.h"
#include "fleet.h"
#include "net/channel.h"
#include "sync/backoff.h"
#include "sync/dial.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define HANDSHAKE_MS 10000

struct agent {
	struct channel_tls *tls;
	struct channel *channel;
	struct dial *dial;
	uv_timer_t timer; /* OPEN: the next heartbeat, else the next try */
	struct backoff backoff;
	uint64_t floor_ms;
	bool is_open;
	uint64_t epoch, revision;
	uint8_t chain[32];
	Tlsplane__UpdateBegin *begin; /* of the update that is coming in */
	Tlsplane__UpdateEnd *holding; /* digests; NULL: nothing */
};

static struct {
	uv_loop_t loop;
	uint16_t port;
	struct agent *agents;
	size_t len, open;
	unsigned failures;
	uint64_t revision; /* the newest acknowledged, by how many, when first */
	size_t acks;
	double first_ack;
} fleet;

static struct error err;

static void must(int code, const char *what)
{
	if (code < 0) {
		fprintf(stderr, "fleet: %s: %s\n", what, err.text);
		exit(1);
	}
}

static double now(void)
{
	return (double)uv_hrtime() * 1e-9;
}

static uint32_t random_bits(void)
{
	uint32_t bits;

	must(crypto_random(&bits, sizeof(bits), &err), "random");
	return bits;
}

/* A copy of a message. */
static void *keep(const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *packed = malloc(len);
	void *copy;

	protobuf_c_message_pack(message, packed);
	copy = protobuf_c_message_unpack(message->descriptor, NULL, len, packed);
	free(packed);
	must(copy == NULL ? error_nomem(&err) : 0, "keep");
	return copy;
}

static void send_message(struct agent *agent, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	int code = channel_send(agent->channel, type, message, &err);

	must(code == E_CLOSED ? 0 : code, "send"); /* one that is closing tells in on_close */
}

/* Connecting. ------------------------------------------------------------------------------------------------------ */

static void on_retry(uv_timer_t *timer);

static void wait_and_retry(struct agent *agent)
{
	uint64_t delay = backoff_fail(&agent->backoff, random_bits(), agent->floor_ms);

	agent->floor_ms = 0;
	uv_timer_start(&agent->timer, on_retry, delay, 0);
}

static void on_open(struct channel *channel, void *owner)
{
	struct agent *agent = owner;
	Tlsplane__Hello hello = TLSPLANE__HELLO__INIT;

	hello.protocol = 1;
	hello.agent_version = (char *)"0.1.0";
	hello.openssl_version = (char *)"3.0.0";
	hello.hostname = (char *)"fleet.bench.example";
	hello.epoch = hello.high_water_epoch = agent->epoch;
	hello.revision = hello.high_water_revision = agent->revision;
	hello.chain = (ProtobufCBinaryData){sizeof(agent->chain), agent->chain};
	hello.n_digests = agent->holding != NULL ? agent->holding->n_digests : 0;
	hello.digests = agent->holding != NULL ? agent->holding->digests : NULL;
	hello.has_takes_ticket_keys = hello.takes_ticket_keys = true;
	agent->channel = channel;
	send_message(agent, TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base);
}

static void on_close(struct channel *channel, const struct error *why, void *owner)
{
	struct agent *agent = owner;

	if (agent->is_open)
		fleet.open--;
	else
		fleet.failures++;
	agent->is_open = false;
	agent->channel = NULL;
	wait_and_retry(agent);
}

static void on_writable(struct channel *channel, void *owner)
{
}

static void on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner);

static const struct channel_events events = {on_open, on_message, on_writable, on_close};

static void on_dialled(int fd, const struct error *why, void *owner)
{
	struct agent *agent = owner;

	agent->dial = NULL;
	if (fd < 0 || channel_start(&fleet.loop, fd, agent->tls, HANDSHAKE_MS, &events, agent, &agent->channel, &err) < 0) {
		fleet.failures++;
		wait_and_retry(agent);
	}
}

static void on_retry(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	must(dial_start(&fleet.loop, "127.0.0.1", fleet.port, on_dialled, agent, &agent->dial, &err), "dial");
}

/* Following. ------------------------------------------------------------------------------------------------------- */

static void on_beat(uv_timer_t *timer)
{
	struct agent *agent = timer->data;
	Tlsplane__Heartbeat beat = TLSPLANE__HEARTBEAT__INIT;

	beat.epoch = agent->epoch;
	beat.revision = agent->revision;
	beat.n_digests = agent->holding != NULL ? agent->holding->n_digests : 0;
	beat.digests = agent->holding != NULL ? agent->holding->digests : NULL;
	send_message(agent, TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, &beat.base);
}

static void on_welcome(struct agent *agent, const Tlsplane__Welcome *welcome)
{
	uint64_t period = 1000ull * welcome->heartbeat_seconds;

	agent->is_open = true;
	backoff_reset(&agent->backoff);
	uv_timer_start(&agent->timer, on_beat, (random_bits() * period) >> 32, period);
	if (++fleet.open < fleet.len)
		return;
	printf("{\"event\": \"connected\", \"at\": %.6f, \"failures\": %u}\n", now(), fleet.failures);
	fleet.failures = 0;
}

static void count_ack(const struct agent *agent)
{
	if (agent->revision > fleet.revision) {
		fleet.revision = agent->revision;
		fleet.acks = 0;
		fleet.first_ack = now();
	}
	if (agent->revision == fleet.revision && ++fleet.acks == fleet.len)
		printf("{\"event\": \"acked\", \"revision\": %llu, \"first\": %.6f, \"at\": %.6f}\n",
		       (unsigned long long)fleet.revision, fleet.first_ack, now());
}

static void on_begin(struct agent *agent, const Tlsplane__UpdateBegin *begin)
{
	if (agent->begin != NULL)
		tlsplane__update_begin__free_unpacked(agent->begin, NULL);
	agent->begin = keep(&begin->base);
}

static void on_end(struct agent *agent, const Tlsplane__UpdateEnd *end)
{
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;

	if (agent->holding != NULL)
		tlsplane__update_end__free_unpacked(agent->holding, NULL);
	agent->holding = keep(&end->base);
	agent->epoch = ack.epoch = agent->begin->epoch;
	agent->revision = ack.revision = agent->begin->revision;
	memcpy(agent->chain, agent->begin->chain.data, sizeof(agent->chain));
	send_message(agent, TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, &ack.base);
	count_ack(agent);
}

static void on_ticket_keys(struct agent *agent, const Tlsplane__TicketKeys *keys)
{
	Tlsplane__TicketKeysHeld held = TLSPLANE__TICKET_KEYS_HELD__INIT;

	held.serial = keys->serial;
	send_message(agent, TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD, &held.base);
}

static void on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message, void *owner)
{
	struct agent *agent = owner;

	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_WELCOME)
		on_welcome(agent, (const Tlsplane__Welcome *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN)
		on_begin(agent, (const Tlsplane__UpdateBegin *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END)
		on_end(agent, (const Tlsplane__UpdateEnd *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS)
		on_ticket_keys(agent, (const Tlsplane__TicketKeys *)message);
	else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_REFUSED)
		agent->floor_ms = ((const Tlsplane__Refused *)message)->retry_after_ms;
}

/* Start. ----------------------------------------------------------------------------------------------------------- */

static void add_agent(X509 *ca, EVP_PKEY *key, X509 *certificate)
{
	static const char *const alpn[] = {CHANNEL_ALPN, NULL};
	struct agent *agent;

	if ((fleet.len & (fleet.len - 1)) == 0) { /* timers come when all are there: until then agents may move */
		fleet.agents = realloc(fleet.agents, (fleet.len == 0 ? 1 : 2 * fleet.len) * sizeof(*fleet.agents));
		must(fleet.agents == NULL ? error_nomem(&err) : 0, "agents");
	}
	agent = &fleet.agents[fleet.len++];
	*agent = (struct agent){.backoff = {.addresses = 1}};
	must(channel_tls_new(&(struct channel_tls_config){.certificate = certificate, .key = key, .ca = ca, .alpn = alpn},
	                     &agent->tls, &err), "TLS");
}

static void load(const char *path)
{
	FILE *in = fopen(path, "r");
	struct bytes value = BYTES_NULL;
	EVP_PKEY *key;
	X509 *ca, *certificate;

	must(in == NULL || !fleet_read(in, &value) ? error_set(&err, E_IO, "%s", path) : 0, "open");
	must(cert_parse(value, &ca, &err), "CA");
	while (fleet_read(in, &value)) {
		must(key_decode(value, &key, &err), "key");
		must(fleet_read(in, &value) ? cert_parse(value, &certificate, &err) : error_set(&err, E_IO, "cut"), "certificate");
		add_agent(ca, key, certificate);
		EVP_PKEY_free(key);
		X509_free(certificate);
	}
	X509_free(ca);
	fclose(in);
}

int main(int argc, char **argv)
{
	struct rlimit files;

	must(argc != 3 ? error_set(&err, E_INVALID, "PORT FILE") : 0, "usage");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	must(crypto_init(&err), "OpenSSL");
	must(log_set_level("error", &err), "log");
	uv_loop_init(&fleet.loop);
	fleet.port = (uint16_t)strtoul(argv[1], NULL, 10);
	load(argv[2]);
	for (size_t i = 0; i < fleet.len; i++) {
		uv_timer_init(&fleet.loop, &fleet.agents[i].timer);
		fleet.agents[i].timer.data = &fleet.agents[i];
		on_retry(&fleet.agents[i].timer);
	}
	return uv_run(&fleet.loop, UV_RUN_DEFAULT);
}
