#include "archive/manifest.hh"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <utility>

#include "archive/detail/json_stream.hh"
#include "archive/detail/utf8.hh"
#include "base/error.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

constexpr int known_version = 1;
constexpr std::string_view digest_kind = "xxh3-128";
constexpr std::size_t flush_bytes = std::size_t{64} << 10;
constexpr std::string_view above_before = ",\"above\":\"";
constexpr std::string_view above_after = "\"}\n";
constexpr std::size_t digest_digits = 32;
/// What follows the bytes that the last member is the digest of.
constexpr std::size_t tail_bytes = above_before.size() + digest_digits + above_after.size();

std::optional<Digest> parse_digest(std::string_view hex) {
  if (hex.size() != digest_digits) return std::nullopt;
  const auto high = parse_int<std::uint64_t>(hex.substr(0, 16), 16);
  const auto low = parse_int<std::uint64_t>(hex.substr(16), 16);
  if (!high || !low) return std::nullopt;
  return Digest{*high, *low};
}

}  // namespace

ManifestWriter::ManifestWriter(Sink& out, const ManifestHeader& header) : out_(out) {
  buffer_.reserve(flush_bytes + flush_bytes / 8);
  put(fmt::format(
      "{{\"version\":{},\"tool\":{},\"digest\":\"{}\",\"system_identifier\":{},\"segment_bytes\":{},\n"
      " \"objects\":[",
      header.version, json_string(header.tool), digest_kind, header.system_identifier, header.segment_bytes));
}

void ManifestWriter::put(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= flush_bytes) flush();
}

void ManifestWriter::flush() {
  above_.update(bytes_of(buffer_));
  out_.write(bytes_of(buffer_));
  buffer_.clear();
}

void ManifestWriter::object(const ManifestObject& object) {
  end_object();
  const auto out = std::back_inserter(buffer_);
  fmt::format_to(out, "{}\n  {{\"name\":{},\"bytes\":{},\"digest\":\"{}\",\"raw_bytes\":{}", first_object_ ? "" : ",",
                 json_string(object.name), object.bytes, object.digest.hex(), object.raw_bytes);
  if (object.raw_stride != 0) {
    fmt::format_to(out, ",\n   \"blocks\":{{\"raw\":{},\"offsets\":[{}]}}", object.raw_stride,
                   fmt::join(object.block_offsets, ","));
  }
  put(",\n   \"members\":[");
  first_object_ = false;
  first_member_ = true;
  in_object_ = true;
}

void ManifestWriter::member(const ManifestMember& member) {
  if (!in_object_) throw Error(Errc::bug, "a member of no object in seawall.json");
  fmt::format_to(std::back_inserter(buffer_), "{}\n    [{},{},{},\"{}\"]", first_member_ ? "" : ",",
                 json_string(member.name), member.offset, member.bytes, member.digest.hex());
  put({});
  first_member_ = false;
}

void ManifestWriter::end_object() {
  if (in_object_) put("]}");
  in_object_ = false;
}

void ManifestWriter::finish(std::optional<Digest> sentinel) {
  end_object();
  put("],\n ");
  put(sentinel ? fmt::format("\"sentinel\":\"{}\"", sentinel->hex()) : "\"sentinel\":\"\"");
  flush();
  out_.write(bytes_of(fmt::format("{}{}{}", above_before, above_.value().hex(), above_after)));
}

namespace {

/// Digests what passes but for the tail.
class AboveTail final : public Source {
 public:
  explicit AboveTail(Source& from) : from_(from) {}
  std::size_t read(MutableBytes into) override {
    const std::size_t n = from_.read(into);
    held_.append(text_of(into.first(n)));
    if (held_.size() > tail_bytes) {
      const std::size_t above = held_.size() - tail_bytes;
      digester_.update(bytes_of(held_).first(above));
      held_.erase(0, above);
    }
    return n;
  }
  Digest digest() { return digester_.value(); }

 private:
  Source& from_;
  std::string held_;
  Digester digester_;
};

class Reader final : public JsonEvents {
 public:
  Reader(std::string_view origin, const ManifestMembers& members) : origin_(origin), members_(members) {}

  Manifest take() { return std::move(manifest_); }
  bool complete() const { return have_version_ && have_objects_ && above_; }
  const std::optional<std::string>& above() const { return above_; }

  bool on_key(std::string_view key) override {
    field_ = field_of(key);
    return field_ != Field::none || skip_value();
  }

  bool on_begin(bool is_object) override {
    const bool members = depth() > 3 && field_ == Field::members;
    const bool expected = is_object == (depth() == 1 || depth() == 3 || (depth() == 4 && !members));
    const bool allowed = depth() == 1 || (depth() == 2 && field_ == Field::objects) || depth() == 3 ||
                         (depth() == 4 && field_ == Field::blocks) || (depth() == 5 && field_ == Field::offsets) ||
                         (members && depth() < 6);
    if (!expected || !allowed) return wrong_type();
    if (members && !have_.name) return fail("members of an object before its name");
    if (members) member_values_ = 0;
    if (depth() == 2) have_objects_ = true;
    if (depth() == 3) {
      manifest_.objects.emplace_back();
      have_ = {};
      field_ = Field::none;
    }
    return true;
  }

  bool on_end() override {
    if (depth() == 4 && field_ == Field::members) return end_member();
    if (depth() != 2) return true;
    field_ = Field::objects;
    return check_object();
  }

  bool on_null() override { return wrong_type(); }
  bool on_bool(bool) override { return wrong_type(); }

  bool on_number(std::string_view text) override {
    switch (field_) {
      case Field::version:
        return version(text);
      case Field::system_identifier:
        return natural(text, manifest_.header.system_identifier);
      case Field::segment_bytes:
        return natural(text, manifest_.header.segment_bytes);
      case Field::bytes:
        return natural(text, object().bytes) && (have_.bytes = true);
      case Field::raw_bytes:
        return natural(text, object().raw_bytes) && (have_.raw_bytes = true);
      case Field::raw_stride:
        return natural(text, object().raw_stride);
      case Field::offsets:
        return depth() == 5 ? natural(text, object().block_offsets.emplace_back()) : wrong_type();
      case Field::members:
        if (depth() != 5 || member_values_ < 1 || member_values_ > 2) return wrong_type();
        return natural(text, ++member_values_ == 2 ? member_.offset : member_.bytes);
      default:
        return wrong_type();
    }
  }

  bool on_text(std::string_view text) override {
    if (!is_utf8(text)) return fail("a text that is not UTF-8");
    switch (field_) {
      case Field::tool:
        manifest_.header.tool = text;
        return true;
      case Field::digest_name:
        if (text == digest_kind) return true;
        throw Error(Errc::unsupported, fmt::format("{}: digests of kind {} are not known to this version", origin_,
                                                   json_string(text.substr(0, 40))));
      case Field::name:
        object().name = text;
        have_.name = true;
        return true;
      case Field::digest: {
        const auto digest = parse_digest(text);
        if (!digest) return fail("a digest that is not 32 hex digits");
        object().digest = *digest;
        have_.digest = true;
        return true;
      }
      case Field::sentinel:
        return text.empty() || digest_into(text, manifest_.sentinel);
      case Field::above:
        above_ = text;
        return true;
      case Field::members:
        return member_text(text);
      default:
        return wrong_type();
    }
  }

 private:
  enum class Field {
    none,
    version,
    tool,
    digest_name,
    system_identifier,
    segment_bytes,
    objects,
    sentinel,
    above,
    name,
    bytes,
    digest,
    raw_bytes,
    blocks,
    raw_stride,
    offsets,
    members
  };
  struct Have {
    bool name = false;
    bool bytes = false;
    bool digest = false;
    bool raw_bytes = false;
  };

  Field field_of(std::string_view key) const {
    if (depth() == 1) {
      if (key == "version") return Field::version;
      if (key == "tool") return Field::tool;
      if (key == "digest") return Field::digest_name;
      if (key == "system_identifier") return Field::system_identifier;
      if (key == "segment_bytes") return Field::segment_bytes;
      if (key == "objects") return Field::objects;
      if (key == "sentinel") return Field::sentinel;
      if (key == "above") return Field::above;
    } else if (depth() == 3) {
      if (key == "name") return Field::name;
      if (key == "bytes") return Field::bytes;
      if (key == "digest") return Field::digest;
      if (key == "raw_bytes") return Field::raw_bytes;
      if (key == "blocks") return Field::blocks;
      if (key == "members" && members_) return Field::members;
    } else {
      if (key == "raw") return Field::raw_stride;
      if (key == "offsets") return Field::offsets;
    }
    return Field::none;
  }

  bool member_text(std::string_view text) {
    if (depth() != 5 || (member_values_ != 0 && member_values_ != 3)) return wrong_type();
    if (member_values_++ == 0) {
      member_name_ = text;
      return true;
    }
    const auto digest = parse_digest(text);
    if (!digest) return fail("a digest that is not 32 hex digits");
    member_.digest = *digest;
    return true;
  }

  bool end_member() {
    if (member_values_ != 4) return fail("a member that is not name, offset, bytes and digest");
    member_.name = member_name_;
    members_(object(), member_);
    return true;
  }

  bool check_object() {
    const ManifestObject& last = object();
    if (!have_.name || !have_.bytes || !have_.digest || !have_.raw_bytes) {
      return fail("an object without name, bytes, digest or raw_bytes");
    }
    if (!last.block_offsets.empty() && last.raw_stride == 0) return fail("a block index without its stride");
    const auto& offsets = last.block_offsets;
    const bool ascending = std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) == offsets.end();
    if (!ascending) return fail("block offsets out of order");
    return offsets.empty() || offsets.back() < last.bytes || fail("a block offset beyond the object's end");
  }

  bool digest_into(std::string_view text, std::optional<Digest>& into) {
    into = parse_digest(text);
    return into || fail("a digest that is not 32 hex digits");
  }

  bool version(std::string_view text) {
    const auto value = parse_int<int>(text);
    if (!value || *value < 1) return fail("a version that is no number");
    if (*value > known_version) {
      throw Error(Errc::unsupported, fmt::format("{}: written in version {} by a newer seawall; this one reads {}",
                                                 origin_, *value, known_version));
    }
    manifest_.header.version = *value;
    return have_version_ = true;
  }

  bool natural(std::string_view text, std::uint64_t& into) {
    const auto value = parse_int<std::uint64_t>(text);
    if (!value) return fail(fmt::format("a number that is not natural, or too large: {}", text.substr(0, 40)));
    into = *value;
    return true;
  }

  bool wrong_type() { return fail("a value of the wrong type"); }
  ManifestObject& object() { return manifest_.objects.back(); }

  std::string_view origin_;
  const ManifestMembers& members_;
  Manifest manifest_;
  ManifestMember member_;
  std::string member_name_;
  unsigned member_values_ = 0;  // of the four
  Field field_ = Field::none;
  Have have_;
  bool have_version_ = false;
  bool have_objects_ = false;
  std::optional<std::string> above_;  // as written: another spelling of it is damage
};

}  // namespace

Manifest read_manifest(Source& from, std::string_view origin, const ManifestMembers& members) {
  Reader reader(origin, members);
  AboveTail digested(from);
  parse_json_stream(digested, reader, origin);
  if (!reader.complete()) throw Error(Errc::corrupt, fmt::format("{}: no version, objects or digest in it", origin));
  if (*reader.above() != digested.digest().hex()) {
    throw Error(Errc::corrupt,
                fmt::format("{}: it does not hold the bytes that were written: their digest is {}, "
                            "recorded is {}",
                            origin, digested.digest().hex(), json_string(reader.above()->substr(0, 40))));
  }
  return reader.take();
}

}  // namespace seawall::archive
