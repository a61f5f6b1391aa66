# SPDX-License-Identifier: Apache-2.0
"""Real daemons, real sockets, real certificates, for the end-to-end tests. Everything is on 127.0.0.1 and below one temporary directory."""
