/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/point.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ranges {
	atomic_uint count;
	size_t len;
	Tlsplane__IpRange **items; /* this and what it points to: in the same allocation, behind */
};

int ranges_new(Tlsplane__IpRange *const *ranges, size_t count, struct ranges **ret)
{
	size_t each = sizeof(Tlsplane__IpRange) + sizeof(Tlsplane__IpRange *) + sizeof(struct in6_addr);
	struct ranges *copy;
	Tlsplane__IpRange *items;
	uint8_t *addresses;

	if (count == 0) {
		*ret = NULL;
		return 0;
	}
	copy = malloc(sizeof(*copy) + count * each);
	if (copy == NULL)
		return E_NOMEM;
	items = (Tlsplane__IpRange *)(copy + 1);
	copy->items = (Tlsplane__IpRange **)(items + count);
	addresses = (uint8_t *)(copy->items + count);
	atomic_init(&copy->count, 1);
	copy->len = count;
	for (size_t i = 0; i < count; i++, addresses += sizeof(struct in6_addr)) {
		size_t len = ranges[i]->address.len < sizeof(struct in6_addr) ? ranges[i]->address.len : sizeof(struct in6_addr);

		items[i] = *ranges[i];
		items[i].address = (ProtobufCBinaryData){len, addresses};
		memcpy(addresses, ranges[i]->address.data, len);
		copy->items[i] = &items[i];
	}
	*ret = copy;
	return 0;
}

struct ranges *ranges_ref(struct ranges *ranges)
{
	if (ranges != NULL)
		atomic_fetch_add_explicit(&ranges->count, 1, memory_order_relaxed);
	return ranges;
}

struct ranges *ranges_unref(struct ranges *ranges)
{
	if (ranges != NULL && atomic_fetch_sub_explicit(&ranges->count, 1, memory_order_acq_rel) == 1)
		free(ranges);
	return NULL;
}

struct point *point_new(const char *address)
{
	struct point *point = calloc(1, sizeof(*point));

	if (point != NULL) {
		atomic_init(&point->count, 1);
		pthread_mutex_init(&point->lock, NULL);
		snprintf(point->address, sizeof(point->address), "%s", address);
	}
	return point;
}

struct point *point_ref(struct point *point)
{
	atomic_fetch_add_explicit(&point->count, 1, memory_order_relaxed);
	return point;
}

struct point *point_unref(struct point *point)
{
	if (point != NULL && atomic_fetch_sub_explicit(&point->count, 1, memory_order_acq_rel) == 1) {
		ranges_unref(point->senders);
		pthread_mutex_destroy(&point->lock);
		free(point);
	}
	return NULL;
}

void point_set_senders(struct point *point, struct ranges *senders)
{
	struct ranges *before;

	pthread_mutex_lock(&point->lock);
	before = point->senders;
	point->senders = ranges_ref(senders);
	pthread_mutex_unlock(&point->lock);
	atomic_store_explicit(&point->has_senders, senders != NULL, memory_order_release);
	ranges_unref(before);
}

bool point_is_sender(struct point *point, const struct ip *ip)
{
	bool is_sender;

	if (!atomic_load_explicit(&point->has_senders, memory_order_acquire))
		return false;
	pthread_mutex_lock(&point->lock);
	is_sender = point->senders != NULL && cidr_has(point->senders->items, point->senders->len, ip);
	pthread_mutex_unlock(&point->lock);
	return is_sender;
}
