#include "archive/files_metadata.hh"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>

#include "archive/detail/json_stream.hh"
#include "archive/detail/utf8.hh"
#include "base/error.hh"
#include "base/text.hh"
#include "base/time_text.hh"

namespace seawall::archive {
namespace {

constexpr std::size_t flush_bytes = std::size_t{64} << 10;

bool needs_no_escape(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

std::string_view bool_text(bool value) { return value ? "true" : "false"; }

bool same_name(std::string_view a, std::string_view b) {
  return a == b || (a.size() == b.size() && lower(a) == lower(b));
}

}  // namespace

FilesMetadataWriter::FilesMetadataWriter(Sink& out) : out_(out) { buffer_.reserve(flush_bytes + flush_bytes / 8); }

/// With no text: after something was appended to the buffer directly.
void FilesMetadataWriter::put(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= flush_bytes) flush();
}

void FilesMetadataWriter::put_name(std::string_view name) {
  if (needs_no_escape(name)) {
    put("\"");
    put(name);
    put("\"");
    return;
  }
  if (!is_utf8(name)) {
    throw Error(Errc::config, fmt::format("{}: the name is not UTF-8, which files_metadata.json cannot hold; rename it "
                                          "or use --without-files-metadata",
                                          json_string(name)));
  }
  put(json_string(name));
}

void FilesMetadataWriter::flush() {
  if (!buffer_.empty()) out_.write(bytes_of(buffer_));
  buffer_.clear();
}

void FilesMetadataWriter::enter(Section section) {
  if (section_ == section) return;
  if (section < section_) throw Error(Errc::bug, "the sections of files_metadata.json are written out of order");
  leave();
  put(first_member_ ? "{" : ",");
  put(section == Section::files   ? "\"Files\":{"
      : section == Section::parts ? "\"TarFileSets\":{"
                                  : "\"DatabasesByNames\":{");
  section_ = section;
  first_member_ = false;
  first_entry_ = true;
}

void FilesMetadataWriter::leave() {
  close_inner();
  if (section_ != Section::none) put("}");
}

void FilesMetadataWriter::close_inner() {
  if (!inner_open_) return;
  inner_open_ = false;
  if (section_ == Section::parts) return put("]");
  put(first_inner_ ? "}" : "}}");
}

/// The name of the next entry of the section, behind its comma.
void FilesMetadataWriter::begin_entry(Section section, std::string_view name) {
  enter(section);
  close_inner();
  if (!first_entry_) put(",");
  first_entry_ = false;
  put_name(name);
}

void FilesMetadataWriter::file(const FileEntry& entry) {
  begin_entry(Section::files, entry.name);
  const auto out = std::back_inserter(buffer_);
  fmt::format_to(out, ":{{\"IsIncremented\":{},\"IsSkipped\":{},\"MTime\":\"{}\"", bool_text(entry.is_incremented),
                 bool_text(entry.is_skipped), rfc3339_nano_local(entry.modified));
  if (entry.corrupt_count != 0) {
    fmt::format_to(out, ",\"CorruptBlocks\":{{\"CorruptBlocksCount\":{},\"SomeCorruptBlocks\":[{}]}}",
                   entry.corrupt_count, fmt::join(entry.corrupt_blocks, ","));
  }
  fmt::format_to(out, ",\"UpdatesCount\":{}}}", entry.updates_count);
  put({});
}

void FilesMetadataWriter::part(std::string_view object_name) {
  begin_entry(Section::parts, object_name);
  put(":[");
  inner_open_ = true;
  first_inner_ = true;
}

void FilesMetadataWriter::part_file(std::string_view name) {
  if (section_ != Section::parts || !inner_open_) throw Error(Errc::bug, "a file of no part in files_metadata.json");
  if (!first_inner_) put(",");
  first_inner_ = false;
  put_name(name);
}

void FilesMetadataWriter::database(std::string_view name, std::uint32_t oid) {
  begin_entry(Section::databases, name);
  fmt::format_to(std::back_inserter(buffer_), ":{{\"oid\":{}", oid);
  inner_open_ = true;
  first_inner_ = true;
}

void FilesMetadataWriter::relation(const RelationEntry& entry) {
  if (section_ != Section::databases || !inner_open_) {
    throw Error(Errc::bug, "a relation of no database in files_metadata.json");
  }
  if (first_inner_) put(",\"tables_new\":{");
  print(entry, first_inner_);
  first_inner_ = false;
}

void FilesMetadataWriter::print(const RelationEntry& entry, bool first) {
  if (!first) put(",");
  put_name(entry.name);
  fmt::format_to(std::back_inserter(buffer_), ":{{\"oid\":{},\"relfilenode\":{}", entry.oid, entry.file_node);
  if (!entry.subtables.empty()) {
    put(",\"subtables\":{");
    for (const RelationEntry& table : entry.subtables) print(table, &table == &entry.subtables.front());
    put("}");
  }
  put("}");
}

void FilesMetadataWriter::finish() {
  leave();
  put(first_member_ ? "{}" : "}");
  flush();
}

namespace {

/// files_metadata.json as a sequence of events. Where a value belongs follows from the section and the depth.
class Reader final : public JsonEvents {
 public:
  explicit Reader(const FilesMetadataEvents& events) : events_(events) {}

  bool on_key(std::string_view key) override {
    if (depth() == 1) return choose_section(key);
    if (depth() == 2) return begin_entry(key);
    if (section_ == Section::databases && depth() % 2 == 0) return begin_relation(key);
    field_ = field_of(key);
    return field_ != Field::none || skip_value();
  }

  bool on_begin(bool is_object) override {
    if (depth() == 1) return is_object || fail("no JSON object");
    if (depth() == 2) return is_object || fail("a section that is no object");
    if (section_ == Section::parts) return depth() == 3 && !is_object ? true : fail("a part without a list of files");
    if (section_ == Section::databases) return begin_of_databases(is_object);
    if (depth() == 3) return is_object || fail("a file whose description is no object");
    if (is_object && depth() == 4 && field_ == Field::corrupt) return true;
    if (!is_object && depth() == 5 && field_ == Field::corrupt_blocks) return true;
    return fail("a file's member of the wrong type");
  }

  bool on_end() override {
    if (depth() == 2 && section_ == Section::files) report();
    if (section_ == Section::databases && depth() == 2 && events_.database) events_.database(name_, oid_);
    if (section_ == Section::databases && depth() >= 4 && depth() % 2 == 0) end_relation();
    return true;
  }

  bool on_null() override {
    if (depth() == 0) return fail("no JSON object");
    // As an absent member; a file of which nothing is said is a file all the same.
    if (depth() == 2 && section_ == Section::files) report();
    return true;
  }

  bool on_bool(bool truth) override {
    if (field() == Field::is_incremented) return set(entry_.is_incremented, truth);
    if (field() == Field::is_skipped) return set(entry_.is_skipped, truth);
    return wrong_type();
  }

  bool on_number(std::string_view text) override {
    if (field() == Field::updates) return natural(text, entry_.updates_count);
    if (field() == Field::corrupt_count) return natural(text, entry_.corrupt_count);
    if (section_ == Section::databases && field_ == Field::oid) {
      return natural(text, depth() == 3 ? oid_ : relations_.back().oid);
    }
    if (section_ == Section::databases && field_ == Field::file_node) return natural(text, relations_.back().file_node);
    if (field() == Field::corrupt_blocks && depth() == 5) return natural(text, entry_.corrupt_blocks.emplace_back());
    return wrong_type();
  }

  bool on_text(std::string_view text) override {
    if (section_ == Section::parts && depth() == 3) {
      if (events_.part_file) events_.part_file(name_, text);
      return true;
    }
    if (field() != Field::modified) return wrong_type();
    const auto time = parse_rfc3339(text);
    if (!time) return fail("an MTime that is no time in RFC 3339 form");
    return set(entry_.modified, *time);
  }

 private:
  enum class Section { files, parts, databases };
  enum class Field {
    none,
    is_incremented,
    is_skipped,
    modified,
    updates,
    corrupt,
    corrupt_count,
    corrupt_blocks,
    oid,
    file_node,
    relations,
  };

  bool choose_section(std::string_view key) {
    if (events_.file && same_name(key, "Files")) {
      section_ = Section::files;
    } else if ((events_.part || events_.part_file) && same_name(key, "TarFileSets")) {
      section_ = Section::parts;
    } else if ((events_.database || events_.relation) && same_name(key, "DatabasesByNames")) {
      section_ = Section::databases;
    } else {
      return skip_value();
    }
    return true;
  }

  bool begin_entry(std::string_view key) {
    name_ = key;
    field_ = Field::none;
    if (section_ == Section::databases) return set(oid_, std::uint32_t{0});
    if (section_ == Section::parts) {
      if (events_.part) events_.part(name_);
      return events_.part_file ? true : skip_value();
    }
    entry_.name = name_;
    entry_.is_incremented = false;
    entry_.is_skipped = false;
    entry_.modified = {};
    entry_.corrupt_count = 0;
    entry_.corrupt_blocks.clear();
    entry_.updates_count = 0;
    return true;
  }

  bool begin_relation(std::string_view name) {
    field_ = Field::none;
    relation_name_ = name;
    return true;
  }

  /// Objects alternate: a database, its relations by name, a relation, those nested in it by name, one of them, ….
  bool begin_of_databases(bool is_object) {
    if (!is_object) return fail("a list where a database or a relation should be");
    if (depth() % 2 == 0) return field_ == Field::relations || fail("a value of the wrong type");
    if (depth() >= 5) relations_.push_back({.name = relation_name_, .oid = 0, .file_node = 0, .subtables = {}});
    return true;
  }

  void end_relation() {
    RelationEntry done = std::move(relations_.back());
    relations_.pop_back();
    if (!relations_.empty()) {
      relations_.back().subtables.push_back(std::move(done));
    } else if (events_.relation) {
      events_.relation(done);
    }
  }

  Field field_of(std::string_view key) const {
    if (section_ == Section::databases) {
      if (same_name(key, "oid")) return Field::oid;
      if (depth() == 3) return same_name(key, "tables_new") ? Field::relations : Field::none;
      if (same_name(key, "relfilenode")) return Field::file_node;
      return same_name(key, "subtables") ? Field::relations : Field::none;
    }
    if (depth() == 3) {
      if (same_name(key, "IsIncremented")) return Field::is_incremented;
      if (same_name(key, "IsSkipped")) return Field::is_skipped;
      if (same_name(key, "MTime")) return Field::modified;
      if (same_name(key, "UpdatesCount")) return Field::updates;
      if (same_name(key, "CorruptBlocks")) return Field::corrupt;
    } else {
      if (same_name(key, "CorruptBlocksCount")) return Field::corrupt_count;
      if (same_name(key, "SomeCorruptBlocks")) return Field::corrupt_blocks;
    }
    return Field::none;
  }

  /// Of a scalar: none where no file's member can be.
  Field field() const { return section_ == Section::files && depth() >= 3 ? field_ : Field::none; }

  void report() { events_.file(std::as_const(entry_)); }

  bool wrong_type() { return fail("a value of the wrong type"); }

  template <class T>
  bool set(T& into, T value) {
    into = value;
    return true;
  }

  template <class T>
  bool natural(std::string_view text, T& into) {
    const auto value = parse_int<T>(text);
    if (!value) return fail(fmt::format("a number that is not natural, or too large: {}", text.substr(0, 40)));
    into = *value;
    return true;
  }

  const FilesMetadataEvents& events_;
  Section section_ = Section::files;
  Field field_ = Field::none;
  std::string name_;  ///< of the file, the part or the database
  std::uint32_t oid_ = 0;
  std::string relation_name_;
  std::vector<RelationEntry> relations_;  ///< that are open: the last lies in those before it
  FileEntry entry_;
};

}  // namespace

void read_files_metadata(Source& from, std::string_view origin, const FilesMetadataEvents& events) {
  Reader reader(events);
  parse_json_stream(from, reader, origin);
}

}  // namespace seawall::archive
