# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold when the power goes, from the log of tests/lib/disk.c.

The model: a sync of a file makes its content so far durable, not its name; a sync of the folder makes all names so far durable. Of what was
written since then the disk has anything: each sector of 512 bytes of each write on its own; bytes that a file grew by without them are zeros.
Names change in the order in which they were changed (file systems keep them in a journal), up to any point. A file without a name is gone.
This is harsher than ext4, XFS and Btrfs, which also keep the name of a new file that was synced."""
import random
import re
import shutil
import struct

RECORD = struct.Struct("<IIIIQQ")  # struct record
CREATE, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, LINK, UNLINK, ANSWER = range(1, 10)
SECTOR = 512
ANSWERED = re.compile(rb"HTTP/1\.1 2\d\d .*?\r\nX-Request-Id: ([^\r]+)\r\n", re.S)

# What becomes of that which was not synced: (share of sectors kept, names kept).
DROPPED, NAMES_ALONE, CONTENT_ALONE, TORN = "dropped", "names alone", "content alone", "torn"
FATES = (TORN, DROPPED, NAMES_ALONE, CONTENT_ALONE)


class Change:
    def __init__(self, kind, file, offset, name, second, data, end):
        self.kind, self.file, self.offset, self.name, self.second, self.data, self.end = kind, file, offset, name, second, data, end


def read_log(path):
    raw, at, changes = path.read_bytes(), 0, []
    while at + RECORD.size <= len(raw):
        kind, *lengths, file, offset = RECORD.unpack_from(raw, at)
        parts, at = [], at + RECORD.size
        for length in lengths:
            parts.append(raw[at:at + length])
            at += length
        if at > len(raw):  # killed within the record
            break
        changes.append(Change(kind, file, offset, parts[0].decode(), parts[1].decode(), parts[2], at))
    return changes


class _File:
    def __init__(self, content=b""):
        self.content, self.pending = bytearray(content), []  # durable; changes since

    def apply(self, change):
        if change.kind == TRUNCATE:
            size = change.offset
            self.content[size:] = bytes(max(0, size - len(self.content)))
            return
        end = change.offset + len(change.data)
        self.content.extend(bytes(max(0, end - len(self.content))))
        self.content[change.offset:end] = change.data

    def sync(self):
        for change in self.pending:
            self.apply(change)
        self.pending = []

    def after(self, keep):
        """keep(): whether a sector got there."""
        made = _File(self.content)
        for change in self.pending:
            if change.kind == TRUNCATE:
                if keep():
                    made.apply(change)
                continue
            start, end = change.offset, change.offset + len(change.data)
            for sector in range(start - start % SECTOR, end, SECTOR):
                first, last = max(start, sector), min(end, sector + SECTOR)
                if keep():
                    made.apply(Change(WRITE, 0, first, "", "", change.data[first - start:last - start], 0))
        return made.content


class Machine:
    """A folder and what happens to it. Begins with what `folder` holds now, all of it durable."""

    def __init__(self, folder):
        self.files, self.names, self.named = {}, {}, []  # by inode; durable names; changes of names since
        for path in folder.iterdir() if folder.exists() else []:
            if path.is_file() and not path.name.endswith("-shm"):
                self.names[path.name] = self.files[path.stat().st_ino] = _File(path.read_bytes())
        self.live = dict(self.names)  # names as a process sees them
        self.answered = set()

    @staticmethod
    def _rename(names, change):
        kind, file = change[0], change[1]
        if kind == CREATE:
            names[change[2]] = file
        elif kind == LINK:
            names[change[3]] = file
        elif kind == UNLINK:
            names.pop(change[2], None)
        elif kind == RENAME:
            names.pop(change[2], None)
            names[change[3]] = file

    def feed(self, change):
        if change.kind == ANSWER:
            found = ANSWERED.match(change.data)
            if found:
                self.answered.add(found.group(1).decode())
        elif change.kind in (WRITE, TRUNCATE):
            self.files.setdefault(change.file, _File()).pending.append(change)
        elif change.kind == SYNC:
            self.files.setdefault(change.file, _File()).sync()
        elif change.kind == SYNC_FOLDER:
            for named in self.named:
                self._rename(self.names, named)
            self.named = []
        else:
            if change.kind == CREATE:
                file = self.files[change.file] = _File()
            else:
                file = self.live.get(change.name)
            named = (change.kind, file, change.name, change.second)
            self._rename(self.live, named)
            self.named.append(named)

    @property
    def unsynced(self):
        """Is there anything that a power cut could take?"""
        return bool(self.named) or any(file.pending for name, file in self.live.items() if not name.endswith("-shm"))

    def cut(self, target, fate, seed):
        """The power goes: `target` becomes the folder as it is found afterwards."""
        chance = random.Random(seed)
        share = {TORN: chance.choice((0.1, 0.5, 0.9)), DROPPED: 0, NAMES_ALONE: 0, CONTENT_ALONE: 1}[fate]
        kept = {TORN: chance.randint(0, len(self.named)), DROPPED: 0, NAMES_ALONE: len(self.named), CONTENT_ALONE: 0}[fate]
        names = dict(self.names)
        for named in self.named[:kept]:
            self._rename(names, named)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700)
        for name, file in names.items():
            if not name.endswith("-shm"):
                (target / name).write_bytes(file.after(lambda: chance.random() < share))
                (target / name).chmod(0o600)
