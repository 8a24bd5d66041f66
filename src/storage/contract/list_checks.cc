// Listings, compared with what the keys themselves say.
#include <array>

#include "base/work.hh"
#include "storage/contract/subject.hh"

namespace seawall::storage::contract {
namespace {

using storage::ListOptions;
using storage::ObjectInfo;
using storage::Store;

/// Names around the '/' in byte order (' ', '%', '+', '-', '.' before it, '0' behind), with directories of nearly the
/// same name, and names that are not ASCII.
std::vector<std::string> odd_names() {
  std::vector<std::string> names{
      "a/b",
      "a/bb/c",
      "a b",
      "a+b",
      "a%2Fb",
      "a-b/x",
      "a.b",
      "a.c/d",
      "a0",
      "a0b/x",
      "ab",
      "b",
      "c/d/e/f",
      "c/d/e0",
      "c/d.e",
      "c/d0/x",
      "c/d-/x",
      "Z",
      "_",
      "~",
      "\u00e4/\u00f6",
      "\u00e4\u00f6",
      "\u65e5\u672c/\u8a9e",
      "\u65e5\u672c\u8a9e",
      "\x7f",
      "%41",
      "A",
      "c d/e",
      "name with  blanks /x y ",
  };
  std::sort(names.begin(), names.end());
  return names;
}

/// What list() has to visit, by its definition.
std::vector<std::string> wanted(const std::vector<std::string>& sorted, const ListOptions& options) {
  std::vector<std::string> names;
  for (const std::string& name : sorted) {
    if (!name.starts_with(options.prefix) || name <= options.start_after) continue;
    const std::size_t slash = options.one_level ? name.find('/', options.prefix.size()) : std::string::npos;
    std::string seen = slash == std::string::npos ? name : name.substr(0, slash + 1);
    if (names.empty() || names.back() != seen) names.push_back(std::move(seen));
  }
  return names;
}

/// Every prefix of every name, and some that begin none.
std::vector<std::string> all_prefixes(const std::vector<std::string>& names) {
  std::vector<std::string> prefixes{"", "x", "a/x", "none/none/", "b/", "c/d/e/f/"};
  for (const std::string& name : names) {
    for (std::size_t n = 1; n <= name.size(); ++n) prefixes.push_back(name.substr(0, n));
  }
  std::sort(prefixes.begin(), prefixes.end());
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  return prefixes;
}

void compare(Subject& s, const std::vector<std::string>& names, const ListOptions& options) {
  expect_equal(s.list(options), wanted(names, options),
               fmt::format("list() of prefix '{}' after '{}'{}", options.prefix, options.start_after,
                           options.one_level ? ", one level," : ""));
}

void list_is_in_byte_order(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const auto names = odd_names();
  for (const std::string& name : names) s.put(name, name);
  for (const std::string& name : names) s.expect_content(name, name);
  expect_equal(s.list(), names, "list() is complete and in byte order");
  std::vector<std::string> found;
  store.list({.prefix = s.key("")},
             [&](const ObjectInfo& object) {
               const auto same = store.stat(object.key, {});
               expect(same && same->bytes == object.bytes && same_time(same->modified, object.modified) &&
                          same->version == object.version,
                      "list() and stat() say the same of an object, and requests are possible in between");
               found.push_back(object.key);
               return true;
             },
             {});
  expect_equal(found, s.keys(names), "list() gives whole keys");
}

void list_takes_any_prefix(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const auto names = odd_names();
  for (const std::string& name : names) s.put(name, "x");
  for (const std::string& part : all_prefixes(names)) {
    compare(s, names, {.prefix = part});
    compare(s, names, {.prefix = part, .details_of = [](std::string_view) { return false; }});
    compare(s, names, {.prefix = part, .one_level = true});
  }
  for (const std::string_view part : {"../", "./", "a//", "/", "a/../", "..", "a/./b"}) {
    expect_equal(s.list({.prefix = std::string(part)}), {}, fmt::format("no key begins with {}", part));
  }
}

void list_tells_details_where_they_are_wanted(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("a", "1");
  s.put("b", "22");
  std::size_t seen = 0;
  store.list({.prefix = s.key(""), .details_of = [&](std::string_view key) { return key == s.key("b"); }},
             [&](const ObjectInfo& object) {
               ++seen;
               const bool wanted = object.key == s.key("b");
               const auto same = store.stat(object.key, {});
               expect(!(wanted && object.named_only) && (object.named_only || object.bytes == same->bytes),
                      "list() tells the size of what it was asked for, and says where it tells none");
               return true;
             },
             {});
  expect(seen == 2, "list() with details_of visits every object");
}

void list_starts_after(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const auto names = odd_names();
  for (const std::string& name : names) s.put(name, "x");
  for (const std::string& after : all_prefixes(names)) {
    for (const std::string_view part : {"", "a", "a/", "c/d/", "c/d", "\u00e4", "zz"}) {
      compare(s, names, {.prefix = std::string(part), .start_after = after});
      compare(s, names, {.prefix = std::string(part), .start_after = after, .one_level = true});
    }
  }
}

void list_ends_when_told(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  const std::vector<std::string> names{"a", "b/1", "b/2", "c", "d/1", "e"};
  for (const std::string& name : names) s.put(name, "x");
  for (std::size_t limit = 1; limit <= names.size(); ++limit) {
    std::size_t seen = 0;
    store.list({.prefix = s.key("")}, [&](const ObjectInfo&) { return ++seen < limit; }, {});
    expect_equal(seen, limit, "list() ends as soon as visit says so");
  }
  std::vector<std::string> found;
  store.list(
      {.prefix = s.key(""), .one_level = true},
      [&](const ObjectInfo& object) { return found.push_back(object.key), true; },
      [&](std::string_view folded) { return found.emplace_back(folded), folded != s.key("d/"); }, {});
  expect_equal(found, s.keys({"a", "b/", "c", "d/"}), "list() ends as soon as visit_prefix says so");
}

void list_does_not_fold_what_is_gone(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("gone/deep/x", "x");
  s.put("kept/deep/x", "x");
  s.remove({"gone/deep/x"});
  store.abort(store.begin(s.key("draft/deep/x"), {}, {}));
  expect_equal(s.list({.one_level = true}), {"kept/"}, "a prefix stands for at least one object");
  const storage::Upload upload = store.begin(s.key("draft/deep/x"), {}, {});
  store.put_part(upload, {}, bytes_of("x"), {});
  expect_equal(s.list({.one_level = true}), {"kept/"}, "an upload under way is no object");
  expect_equal(s.list(), {"kept/deep/x"}, "an upload under way is not listed");
  store.abort(upload);
}

void list_passes_on_failures(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  s.put("a", "x");
  s.put("b", "x");
  unsigned visits = 0;
  expect_error(Errc::network, "a failure of the visitor ends the listing", [&] {
    store.list({.prefix = s.key("")},
               [&](const ObjectInfo&) -> bool {
                 ++visits;
                 throw Error(Errc::network, "the visitor's own");
               },
               {});
  });
  expect_equal(visits, 1u, "and nobody repeats it");
}

void list_is_complete_when_long(Store& store, std::string_view prefix) {
  Subject s(store, prefix);
  std::vector<std::string> names;
  for (unsigned i = 0; i < 1200; ++i) names.push_back(fmt::format("wal/{:08X}{:016X}.lz4", i / 1000, i * 7919u));
  std::sort(names.begin(), names.end());
  // More than one page of any store; from many threads, because each put waits for the disk.
  WorkerGroup workers({});
  for (std::size_t first = 0; first < 8; ++first) {
    workers.start([&, first](const std::stop_token&) {
      for (std::size_t i = first; i < names.size(); i += 8) s.put(names[i], "");
    });
  }
  workers.join();
  expect_equal(s.list({.prefix = "wal/"}), names, "a long listing is complete and in order");
  compare(s, names, {.prefix = "wal/", .start_after = names[777]});
  expect_equal(s.list({.one_level = true}), {"wal/"}, "a long directory folds into one prefix");
}

constexpr std::array checks{
    StoreCheck{"list_is_in_byte_order", list_is_in_byte_order},
    StoreCheck{"list_takes_any_prefix", list_takes_any_prefix},
    StoreCheck{"list_tells_details_where_they_are_wanted", list_tells_details_where_they_are_wanted},
    StoreCheck{"list_starts_after", list_starts_after},
    StoreCheck{"list_ends_when_told", list_ends_when_told},
    StoreCheck{"list_does_not_fold_what_is_gone", list_does_not_fold_what_is_gone},
    StoreCheck{"list_passes_on_failures", list_passes_on_failures},
    StoreCheck{"list_is_complete_when_long", list_is_complete_when_long},
};

}  // namespace

std::span<const StoreCheck> list_checks() { return checks; }

}  // namespace seawall::storage::contract
