/* SPDX-License-Identifier: Apache-2.0 */
/* A fresh store with its writer and one reader, for the life of a test: setup and teardown of a checked fixture. */
#pragma once

#include "fixture.h"

static struct store *store;
static struct store_writer *writer;
static struct store_reader *reader;

static void setup(void)
{
	fixture_setup();
	store = open_store();
	OK(store_writer_open(store, &writer, &test_error));
	OK(store_reader_open(store, &reader, &test_error));
}

static void teardown(void)
{
	store_reader_close(reader);
	store_writer_close(writer);
	store_close(store);
	fixture_teardown();
}
