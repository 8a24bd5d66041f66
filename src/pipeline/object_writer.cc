#include "pipeline/object_writer.hh"

#include <algorithm>

namespace seawall::pipeline {

std::string with_suffix(std::string_view name, const codec::Codec& codec) {
  std::string full(name);
  if (!codec.suffix.empty()) full.append(".").append(codec.suffix);
  return full;
}

ObjectWriter::ObjectWriter(storage::Store& store, std::string key, storage::PutOptions options,
                           std::optional<std::uint64_t> expected_bytes, std::stop_token stop)
    : store_(store),
      options_(std::move(options)),
      key_(std::move(key)),
      stop_(std::move(stop)),
      part_bytes_(store.upload_shape(expected_bytes).part_bytes) {}

ObjectWriter::~ObjectWriter() {
  if (upload_) store_.abort(*upload_);
}

MutableBytes ObjectWriter::space() {
  if (buffer_.size() == 0) buffer_ = AlignedBuffer(part_bytes_);
  // Only when more is coming is a full buffer sent as a part: an object of exactly one part stays a single put.
  if (filled_ == buffer_.size()) put_part();
  return buffer_.span().subspan(filled_);
}

void ObjectWriter::filled(std::size_t n) {
  filled_ += n;
  bytes_ += n;
}

void ObjectWriter::write(Bytes data) {
  while (!data.empty()) {
    const MutableBytes room = space();
    const std::size_t n = std::min(room.size(), data.size());
    std::memcpy(room.data(), data.data(), n);
    filled(n);
    data = data.subspan(n);
  }
}

void ObjectWriter::put_part() {
  const Bytes data = buffer_.span().first(filled_);
  digester_.update(data);
  if (!upload_) upload_ = store_.begin(key_, options_, stop_);
  const storage::Part part{
      .number = static_cast<unsigned>(parts_.size() + 1), .offset = bytes_ - filled_, .bytes = filled_};
  parts_.push_back(store_.put_part(*upload_, part, data, stop_));
  filled_ = 0;
}

Stored ObjectWriter::commit() {
  storage::PutResult result;
  if (upload_) {
    if (filled_ > 0) put_part();
    result = store_.complete(*upload_, parts_, stop_);
    upload_.reset();
  } else {
    const Bytes data = buffer_.span().first(filled_);
    digester_.update(data);
    result = store_.put(key_, data, options_, stop_);
  }
  buffer_ = AlignedBuffer();
  return {std::move(result.object), result.created, digester_.value()};
}

EncodedObjectWriter::EncodedObjectWriter(const Repository& repository, std::string_view name,
                                         storage::PutOptions options, codec::ObjectContext context,
                                         std::stop_token stop)
    : object_(*repository.store, repository.key(with_suffix(name, *repository.codec)), std::move(options),
              context.size_hint, std::move(stop)),
      encoder_(repository.codec->encode(context, repository.level, object_)) {}

Stored EncodedObjectWriter::commit() {
  encoder_->finish();
  return object_.commit();
}

}  // namespace seawall::pipeline
