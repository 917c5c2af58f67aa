# SPDX-License-Identifier: Apache-2.0
"""exports.py - every plugin that was built exports evo_plugin and nothing else, and has no writable data of its own.

Reads the symbol tables of the ELF files itself (System V gABI, chapter 4). Writable and allowed: what is constant after relocation
(.data.rel.ro, .got and the like) and the few bytes that the C runtime puts into every shared object.
"""
import glob
import os
import struct
import sys

SHF_WRITE, SHT_SYMTAB, SHT_DYNSYM, STT_OBJECT, STT_SECTION, STT_FILE, STT_TLS = 1, 2, 11, 1, 3, 4, 6
RUNTIME = {'__dso_handle', '__TMC_END__', 'completed.0', '__bss_start', '_edata', '_end', '__data_start', 'data_start'}
CONSTANT = ('.data.rel.ro', '.got', '.dynamic', '.init_array', '.fini_array', '.tm_clone_table')


def text(data, at):
    return data[at:data.index(b'\0', at)].decode()


def sections(data):
    shoff, = struct.unpack_from('<Q', data, 40)
    size, n, names = struct.unpack_from('<3H', data, 58)
    heads = [struct.unpack_from('<2I4Q2I2Q', data, shoff + i * size) for i in range(n)]
    return [(text(data, heads[names][4] + h[0]), h) for h in heads]


def symbols(data, found, kind):
    for _, head in found:
        if head[1] != kind:
            continue
        strings = found[head[6]][1][4]
        for at in range(head[4], head[4] + head[5], 24):
            name, info, _, section, _, size = struct.unpack_from('<IBBHQQ', data, at)
            yield text(data, strings + name), info >> 4, info & 15, section, size


def exported(data):
    weak_or_global = (1, 2)
    return sorted(name for name, bind, kind, section, _ in symbols(data, sections(data), SHT_DYNSYM)
                  if bind in weak_or_global and section != 0 and kind != STT_SECTION)


def writable(data):
    found = sections(data)
    if not any(head[1] == SHT_SYMTAB for _, head in found):
        return ['(stripped: cannot tell)']
    out = []
    for name, _, kind, section, _ in symbols(data, found, SHT_SYMTAB):
        if section == 0 or section >= len(found) or kind in (STT_SECTION, STT_FILE) or name in RUNTIME:
            continue
        where, head = found[section]
        if kind == STT_TLS or (head[2] & SHF_WRITE and not where.startswith(CONSTANT) and name):
            out.append('%s in %s' % (name, where))
    return out


def main():
    build, plugins = os.environ['EVO_BUILD'], sys.argv[1]
    files = sorted(glob.glob(os.path.join(build, 'plugins', '*', '*.so')) + glob.glob(os.path.join(build, 'tests', 'abi', 'old-*.so')))
    if plugins == 'static':
        print('1..0 # SKIP plugins are compiled in')
        return
    print('1..%d' % (2 * len(files) + 2))
    number = 0

    def check(good, what, why=''):
        nonlocal number
        number += 1
        print('%s %d - %s%s' % ('ok' if good else 'not ok', number, what, '' if good else ': ' + why))

    check(any(f.startswith(os.path.join(build, 'plugins')) for f in files), 'plugins were built', 'there are none')
    # a file that is wrong in both ways is noticed: the check can fail
    with open(os.path.join(build, 'tests', 'abi', 'untidy.so'), 'rb') as f:
        data = f.read()
    check(exported(data) == ['another', 'evo_plugin'] and writable(data) == ['counter in .bss', 'setting in .data'], 'an untidy plugin is noticed',
          '%s %s' % (exported(data), writable(data)))
    for path in files:
        name = os.path.relpath(path, build)
        with open(path, 'rb') as f:
            data = f.read()
        check(exported(data) == ['evo_plugin'], name + ' exports evo_plugin alone', ', '.join(exported(data)))
        check(writable(data) == [], name + ' has no writable data', ', '.join(writable(data)))


main()
