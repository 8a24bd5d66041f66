#include "crypto/openpgp/content.hh"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

namespace seawall::crypto::openpgp {
namespace {

constexpr unsigned deepest = 2;  // more packets inside each other than any program writes
constexpr std::size_t inflated_bytes = 128 << 10;

}  // namespace

/// Decompresses one packet into a reader of its own.
class ContentReader::Inflater {
 public:
  Inflater(unsigned method, Sink& next, unsigned depth) : plain_(method == 0), inner_(next, depth) {
    if (depth > deepest) malformed("it is compressed again and again");
    if (method == 3) refuse(Errc::unsupported, "it is compressed with bzip2 inside, which is not supported");
    if (method > 3) malformed(fmt::format("it is compressed with the unknown method {}", method));
    if (plain_) return;
    // 1: deflate alone, which is what a negative window size asks for; 2: with zlib's header and check sum.
    if (inflateInit2(&stream_, method == 1 ? -MAX_WBITS : MAX_WBITS) != Z_OK) {
      refuse(Errc::io, "there is no memory to decompress it");
    }
    output_ = AlignedBuffer(inflated_bytes);
  }
  ~Inflater() {
    if (!plain_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  void write(Bytes data) {
    if (plain_) return inner_.write(data);
    while (!data.empty()) {
      const std::size_t n = std::min<std::size_t>(data.size(), std::numeric_limits<uInt>::max());
      feed(data.first(n));
      data = data.subspan(n);
    }
  }

  void finish() {
    if (!plain_ && !ended_) malformed("its compressed content ends too early");
    inner_.finish();
  }

 private:
  void feed(Bytes data) {
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data.data()));
    stream_.avail_in = static_cast<uInt>(data.size());
    do {
      if (ended_) malformed("something follows its compressed content");
      stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
      stream_.avail_out = static_cast<uInt>(output_.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        malformed("its compressed content is damaged");
      }
      ended_ = result == Z_STREAM_END;
      inner_.write(output_.span().first(output_.size() - stream_.avail_out));
    } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  }

  const bool plain_;
  bool ended_ = false;
  z_stream stream_{};
  AlignedBuffer output_;
  ContentReader inner_;
};

ContentReader::ContentReader(Sink& next, unsigned depth) : next_(next), depth_(depth) {}
ContentReader::~ContentReader() = default;

void ContentReader::write(Bytes data) {
  for (auto item = splitter_.next(data); item.what != PacketSplitter::What::more; item = splitter_.next(data)) {
    if (item.what == PacketSplitter::What::begin) begin(splitter_.tag());
    if (item.what == PacketSplitter::What::body) body(item.body);
    if (item.what == PacketSplitter::What::end) end();
  }
}

void ContentReader::begin(Tag tag) {
  switch (tag) {
    case Tag::literal:
    case Tag::compressed:
      if (has_content_) malformed("it has more than one content");
      has_content_ = true;
      passed_over_ = false;
      return;
    case Tag::signature:
    case Tag::one_pass_signature:
    case Tag::marker:
    case Tag::padding:
      passed_over_ = true;
      return;
    default:
      malformed(fmt::format("it holds a packet of type {}, which does not belong there", static_cast<unsigned>(tag)));
  }
}

void ContentReader::body(Bytes data) {
  if (passed_over_ || data.empty()) return;
  if (splitter_.tag() == Tag::literal) {
    read_literal(data);
  } else {
    read_compressed(data);
  }
}

void ContentReader::read_literal(Bytes data) {
  // A byte for the mode, one for the length of a name, the name, four for a date.
  while (!in_content_ && !data.empty()) {
    const std::size_t known = fields_.size() < 2 ? 2 : std::size_t{6} + static_cast<unsigned char>(fields_[1]);
    const std::size_t n = std::min(known - fields_.size(), data.size());
    fields_.append(text_of(data.first(n)));
    data = data.subspan(n);
    in_content_ = fields_.size() >= 6 && fields_.size() == std::size_t{6} + static_cast<unsigned char>(fields_[1]);
  }
  if (!data.empty()) next_.write(data);
}

void ContentReader::read_compressed(Bytes data) {
  if (inflater_ == nullptr) {
    inflater_ = std::make_unique<Inflater>(std::to_integer<unsigned>(data.front()), next_, depth_ + 1);
    data = data.subspan(1);
  }
  if (!data.empty()) inflater_->write(data);
}

void ContentReader::end() {
  if (passed_over_) return;
  if (splitter_.tag() == Tag::literal && !in_content_) malformed("its literal packet is cut");
  if (splitter_.tag() == Tag::compressed) {
    if (inflater_ == nullptr) malformed("its compressed packet is empty");
    inflater_->finish();
  }
}

void ContentReader::finish() {
  if (!splitter_.may_end()) malformed("its content ends too early");
  // A packet that reaches to the end has not been told so yet.
  const bool open = splitter_.in_packet();
  if (open) end();
  if (!has_content_) malformed("it holds no content");
}

}  // namespace seawall::crypto::openpgp
