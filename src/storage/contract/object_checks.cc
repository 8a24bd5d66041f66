// Single objects: put, stat, open, copy, remove.
#include <array>

#include "storage/contract/subject.hh"

namespace seawall::storage::contract {
namespace {

using storage::ObjectInfo;
using storage::PutResult;
using storage::Store;

void put_gives_back_every_byte(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  constexpr std::size_t kib = 1024;
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, 4 * kib - 1, 4 * kib, 256 * kib - 1, 256 * kib,
                                  256 * kib + 1, 1024 * kib + 4097, 5000 * kib}) {
    for (const std::size_t misaligned_by : {std::size_t{0}, std::size_t{1}}) {
      const Noise noise(bytes, bytes + misaligned_by, misaligned_by);
      const std::string name = fmt::format("dir/{}-{}", bytes, misaligned_by);
      const PutResult result = s.put(name, noise.text());
      expect(result.created, "a new object is created");
      expect_equal(result.object.key, s.key(name), "the answer names the object");
      expect_equal(result.object.bytes, bytes, "the answer has the size");
      s.expect_content(name, noise.text());
      const auto object = s.stat(name);
      expect(object.has_value(), "stat() finds what was put");
      expect_equal(object->bytes, bytes, "stat() has the size");
      expect_equal(object->key, s.key(name), "stat() names the object");
      expect(same_time(object->modified, result.object.modified), "stat() and put() agree on the time");
      expect_equal(object->version, result.object.version, "stat() and put() agree on the version");
      expect(object->modified.time_since_epoch().count() > 0, "an object has a time");
    }
  }
}

void put_replaces(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const PutResult first = s.put("x", "a longer text that is replaced");
  const PutResult second = s.put("x", "short");
  expect(second.created, "a replacement counts as created");
  s.expect_content("x", "short");
  expect_equal(s.stat("x")->bytes, std::uint64_t{5}, "size after replacing");
  expect(first.object.version.empty() || first.object.version != second.object.version,
         "a new content is a new version");
  expect(second.object.modified == Time{} || second.object.modified >= first.object.modified, "times do not run back");
  const PutResult third = s.put("x", "equal");
  expect(third.object.version.empty() || third.object.version != second.object.version,
         "a new content of the same size is a new version");
}

void absence_is_an_answer(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  expect(!s.stat("no/such"), "stat() of an absent object is nothing");
  expect(!s.get("no/such"), "try_open() of an absent object is null");
  s.put("a/b/c", "x");
  for (const std::string_view name : {"a", "a/b", "a/b/c/d", "a/b/cc"}) {
    expect(!s.stat(name), fmt::format("{} is no object while a/b/c is one", name));
    expect(!s.get(name), fmt::format("{} cannot be opened while a/b/c can", name));
  }
  const std::string long_name = "a/" + std::string(300, 'n');
  expect(!s.stat(long_name), "a very long name is absent");
  expect(!s.get(long_name), "a very long name is absent for try_open()");
}

void bad_keys_are_refused(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("keep", "x");
  using namespace std::string_literals;
  const std::array bad{""s,     "/"s,    "/a"s,     "a/"s,    "a//b"s, "."s,   ".."s,
                       "a/.."s, "../a"s, "a/../b"s, "a/./b"s, "./a"s,  "a\0b"s};
  for (const std::string& key : bad) {
    const std::string promise = fmt::format("the key '{}' is refused", key);
    const Bytes data = bytes_of("x");
    expect_error(Errc::usage, promise, [&] { store.stat(key, {}); });
    expect_error(Errc::usage, promise, [&] { store.try_open(key, {}, {}); });
    expect_error(Errc::usage, promise, [&] { store.put(key, data, {}, {}); });
    expect_error(Errc::usage, promise, [&] { store.begin(key, {}, {}); });
    expect_error(Errc::usage, promise, [&] { store.copy(key, s.key("to"), {}, {}); });
    expect_error(Errc::usage, promise, [&] { store.copy(s.key("keep"), key, {}, {}); });
    const std::vector<std::string> keys{s.key("keep"), key};
    expect_error(Errc::usage, promise, [&] { store.remove(keys, {}); });
  }
  expect_equal(s.list(), {"keep"}, "refused requests change nothing");
}

void names_like_dots_are_good(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::vector<std::string> names{"...", ".hidden", "a/..b", "a/.b", "a/b..", "x.tmp.20260101T000000Z"};
  for (const std::string& name : names) s.put(name, name);
  for (const std::string& name : names) s.expect_content(name, name);
  expect_equal(s.list(), names, "names with dots are listed");
}

void put_if_absent_keeps_what_is_there(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const PutResult first = s.put("w/1", "first", {.only_if_absent = true});
  expect(first.created, "only_if_absent creates");
  const PutResult second = s.put("w/1", "second, longer", {.only_if_absent = true});
  expect(!second.created, "only_if_absent tells that the object was there");
  expect_equal(second.object.key, s.key("w/1"), "the answer names what is there");
  expect_equal(second.object.bytes, std::uint64_t{5}, "the answer describes what is there");
  expect_equal(second.object.version, first.object.version, "the answer has the version of what is there");
  s.expect_content("w/1", "first");
  s.remove({"w/1"});
  expect(s.put("w/1", "again", {.only_if_absent = true}).created, "after a removal it is created again");
  s.expect_content("w/1", "again");
}

void if_version_guards_puts_and_reads(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::string v1 = s.put("m", "one").object.version;
  if (v1.empty()) return;
  const PutResult two = s.put("m", "two", {.if_version = v1});
  expect(two.created, "the right version is replaced");
  s.expect_content("m", "two");
  expect_error(Errc::differs, "a stale version is not replaced", [&] { s.put("m", "three", {.if_version = v1}); });
  s.expect_content("m", "two");
  expect_equal(s.get("m", {.if_version = two.object.version}).value_or(""), "two", "the right version is read");
  expect_error(Errc::differs, "a stale version is not read", [&] { s.get("m", {.if_version = v1}); });
  s.remove({"m"});
  expect_error(Errc::differs, "a removed version is not replaced", [&] { s.put("m", "x", {.if_version = v1}); });
  expect(!s.get("m", {.if_version = v1}), "a removed version is absent");
  expect_error(Errc::usage, "contradicting conditions are refused",
               [&] { s.put("m", "x", {.only_if_absent = true, .if_version = v1}); });
  expect(!s.stat("m"), "refused puts leave nothing");
}

void ranges_are_exact(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Noise noise(300000);
  s.put("r", noise.text());
  const auto check = [&](std::uint64_t offset, std::optional<std::uint64_t> length) {
    ObjectInfo opened;
    const auto found = s.get("r", {.range = {offset, length}, .opened = &opened});
    const std::string_view all = noise.text();
    const std::string_view from = all.substr(std::min<std::size_t>(offset, all.size()));
    const std::string_view wanted = from.substr(0, length ? std::min<std::size_t>(*length, from.size()) : from.size());
    expect(found && *found == wanted, fmt::format("the range from {} is read exactly", offset));
    expect_equal(opened.bytes, all.size(), "the whole object is described, whatever the range");
    expect_equal(opened.version, s.stat("r")->version, "what was opened is described");
    expect_equal(opened.key, s.key("r"), "what was opened is named");
  };
  using Numbers = std::initializer_list<std::uint64_t>;
  for (const std::uint64_t offset : Numbers{0, 1, 4095, 4096, 299999, 300000, 300001, 1000000}) {
    check(offset, std::nullopt);
    for (const std::uint64_t length : Numbers{0, 1, 4096, 150000, 300000, 1000000}) check(offset, length);
  }
}

void copy_keeps_the_source(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Noise noise(1500001);
  s.put("from/x", noise.text());
  const PutResult copied = store.copy(s.key("from/x"), s.key("to/deep/y"), {}, {});
  expect(copied.created, "a copy is created");
  expect_equal(copied.object.bytes, noise.bytes().size(), "the answer has the size of the copy");
  expect_equal(copied.object.key, s.key("to/deep/y"), "the answer names the copy");
  s.expect_content("to/deep/y", noise.text());
  s.expect_content("from/x", noise.text());
  s.put("other", "other");
  expect(!store.copy(s.key("other"), s.key("to/deep/y"), {.only_if_absent = true}, {}).created,
         "only_if_absent holds for copies");
  s.expect_content("to/deep/y", noise.text());
  store.copy(s.key("other"), s.key("to/deep/y"), {}, {});
  s.expect_content("to/deep/y", "other");
  expect_error(Errc::not_found, "an absent source is an error",
               [&] { store.copy(s.key("none"), s.key("to/z"), {}, {}); });
  expect_equal(s.list(), {"from/x", "other", "to/deep/y"}, "a failed copy leaves nothing");
}

void remove_is_exact(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::vector<std::string> names{"a", "b/1", "b/2", "b/c/1", "bb", "d/e/f/g"};
  for (const std::string& name : names) s.put(name, name);
  s.remove({});
  s.remove({"none", "b", "b/c", "b/none", "a/none", "none/none"});
  expect_equal(s.list(), names, "removing what is absent removes nothing");
  s.remove({"b/1", "none", "d/e/f/g", "b/1"});
  expect_equal(s.list(), {"a", "b/2", "b/c/1", "bb"}, "exactly the keys asked for are removed");
  s.put("d", "an object where others lay under that name");
  s.expect_content("d", "an object where others lay under that name");
  s.remove({"b/2", "b/c/1"});
  s.put("b/c/1", "again");
  expect_equal(s.list(), {"a", "b/c/1", "bb", "d"}, "a name can be used again");
}

void stat_each_keeps_the_order(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  for (const std::string_view name : {"k/a", "k/b", "k/c"}) s.put(name, name);
  std::vector<std::string> found;
  for (const ObjectInfo& object : store.stat_each(s.keys({"k/c", "k/none", "k/a", "x"}), {})) {
    found.push_back(object.key);
    expect_equal(object.bytes, std::uint64_t{3}, "stat_each() has the size");
  }
  expect_equal(found, s.keys({"k/c", "k/a"}), "stat_each() answers in the order asked for, without the absent");
  expect(store.stat_each({}, {}).empty(), "nothing asked for, nothing found");
}

void a_reader_keeps_its_version(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const Noise first(3000000, 1);
  const Noise second(3000000, 2);
  s.put("x", first.text());
  const auto source = store.try_open(s.key("x"), {}, {});
  std::vector<std::byte> head(1000);
  const std::size_t n = read_full(*source, head);
  s.put("x", second.text());
  std::string text(text_of(Bytes(head).first(n)));
  try {
    text += Subject::drain(*source);
  } catch (const Error& error) {
    expect(error.code() == Errc::differs, "a reader of a replaced object says that it differs");
    return;
  }
  expect(text == first.text(), "a reader never sees two versions mixed");
}

void stop_changes_nothing(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("x", "old");
  const storage::Upload upload = store.begin(s.key("u"), {}, {});
  const storage::Part part = store.put_part(upload, {.number = 1}, bytes_of("part"), {});
  const auto source = store.try_open(s.key("x"), {}, {});
  std::stop_source stopped;
  stopped.request_stop();
  const std::stop_token stop = stopped.get_token();
  const std::vector<std::string> keys{s.key("x")};
  const auto cancelled = [](std::string_view what, auto&& action) {
    expect_error(Errc::cancelled, fmt::format("{} heeds the stop", what), action);
  };
  cancelled("stat", [&] { store.stat(keys[0], stop); });
  cancelled("stat_each", [&] { store.stat_each(keys, stop); });
  cancelled("try_open", [&] { store.try_open(keys[0], {}, stop); });
  cancelled("put", [&] { store.put(keys[0], bytes_of("new"), {}, stop); });
  cancelled("put of a new object", [&] { store.put(s.key("new"), bytes_of("new"), {.only_if_absent = true}, stop); });
  cancelled("begin", [&] { store.begin(s.key("b"), {}, stop); });
  cancelled("put_part", [&] { store.put_part(upload, {.number = 2, .offset = 4}, bytes_of("more"), stop); });
  cancelled("complete", [&] { store.complete(upload, std::array{part}, stop); });
  cancelled("list", [&] {
    store.list(
        {}, [](const ObjectInfo&) { return true; }, stop);
  });
  cancelled("copy", [&] { store.copy(keys[0], s.key("copy"), {}, stop); });
  cancelled("remove", [&] { store.remove(keys, stop); });
  std::stop_source later;
  const auto interrupted = store.try_open(keys[0], {}, later.get_token());
  later.request_stop();
  std::array<std::byte, 8> buffer{};
  cancelled("a source", [&] { interrupted->read(buffer); });
  store.abort(upload);
  expect_equal(s.list(), {"x"}, "stopped requests create and remove nothing");
  s.expect_content("x", "old");
}

constexpr std::array checks{
    StoreCheck{"put_gives_back_every_byte", put_gives_back_every_byte},
    StoreCheck{"put_replaces", put_replaces},
    StoreCheck{"absence_is_an_answer", absence_is_an_answer},
    StoreCheck{"bad_keys_are_refused", bad_keys_are_refused},
    StoreCheck{"names_like_dots_are_good", names_like_dots_are_good},
    StoreCheck{"put_if_absent_keeps_what_is_there", put_if_absent_keeps_what_is_there},
    StoreCheck{"if_version_guards_puts_and_reads", if_version_guards_puts_and_reads},
    StoreCheck{"ranges_are_exact", ranges_are_exact},
    StoreCheck{"copy_keeps_the_source", copy_keeps_the_source},
    StoreCheck{"remove_is_exact", remove_is_exact},
    StoreCheck{"stat_each_keeps_the_order", stat_each_keeps_the_order},
    StoreCheck{"a_reader_keeps_its_version", a_reader_keeps_its_version},
    StoreCheck{"stop_changes_nothing", stop_changes_nothing},
};

}  // namespace

std::span<const StoreCheck> object_checks() { return checks; }

}  // namespace seawall::storage::contract
