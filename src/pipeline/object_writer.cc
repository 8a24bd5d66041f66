#include "pipeline/object_writer.hh"

#include <algorithm>
#include <utility>

namespace seawall::pipeline {
namespace {

constexpr unsigned parts_of_a_size = 1000;
constexpr unsigned most_parts = 10 * parts_of_a_size;

/// None if nothing is known, or if a ceiling keeps the parts so small that they have to grow.
std::uint64_t bytes_in_equal_parts(const storage::UploadShape& shape, std::optional<std::uint64_t> expected_bytes) {
  return expected_bytes && *expected_bytes / shape.part_bytes < most_parts ? *expected_bytes : 0;
}

}  // namespace

std::string with_suffix(std::string_view name, const codec::Codec& codec) {
  std::string full(name);
  if (!codec.suffix.empty()) full.append(".").append(codec.suffix);
  return full;
}

ObjectWriter::ObjectWriter(const Repository& repository, std::string_view name, storage::PutOptions options,
                           std::optional<std::uint64_t> expected_bytes, std::stop_token stop)
    : store_(repository.store),
      pool_(repository.parts),
      options_(std::move(options)),
      key_(repository.key(name)),
      forward_stop_(std::move(stop), [this] { stop_.request_stop(); }),
      shape_(store_->upload_shape(expected_bytes)),
      bytes_as_expected_(bytes_in_equal_parts(shape_, expected_bytes)) {}

ObjectWriter::~ObjectWriter() {
  stop_.request_stop();
  await_parts();
  if (upload_) store_->abort(*upload_);
  give_back_buffer();
}

MutableBytes ObjectWriter::space() {
  if (buffer_.size() == 0) buffer_ = take_buffer();
  // Only when more is coming is a full buffer sent as a part: an object of exactly one part stays a single put.
  if (filled_ == buffer_.size()) send_part();
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

std::size_t ObjectWriter::next_part_bytes() const {
  if (bytes_ <= bytes_as_expected_) return shape_.part_bytes;
  return std::min(shape_.part_bytes << (last_part_ / parts_of_a_size), shape_.most_part_bytes);
}

AlignedBuffer ObjectWriter::take_buffer() {
  return pool_ ? pool_->take(next_part_bytes()) : AlignedBuffer(next_part_bytes());
}

/// What the buffer holds becomes the next part.
storage::Part ObjectWriter::end_part() {
  digester_.update(buffer_.span().first(filled_));
  if (!upload_) upload_ = store_->begin(key_, options_, stop_.get_token());
  const std::size_t bytes = std::exchange(filled_, 0);
  return {.number = ++last_part_, .offset = bytes_ - bytes, .bytes = bytes};
}

void ObjectWriter::send_part() {
  const storage::Part part = end_part();
  if (may_send_aside()) {
    if (AlignedBuffer next = pool_->try_take(next_part_bytes()); next.size() > 0) {
      put_part_aside(part, std::exchange(buffer_, std::move(next)));
      return;
    }
  }
  put_part_here(part);
  if (next_part_bytes() == buffer_.size()) return;
  give_back_buffer();
  buffer_ = take_buffer();
}

bool ObjectWriter::may_send_aside() {
  if (!pool_) return false;
  std::lock_guard lock(mutex_);
  // One place is for the part that the writer sends itself.
  return parts_under_way_ + 1 < shape_.parts_in_flight;
}

void ObjectWriter::put_part(storage::Part part, Bytes data) {
  part = store_->put_part(*upload_, std::move(part), data, stop_.get_token());
  std::lock_guard lock(mutex_);
  parts_.push_back(std::move(part));
}

void ObjectWriter::put_part_here(const storage::Part& part) {
  try {
    put_part(part, buffer_.span().first(part.bytes));
  } catch (...) {
    // What stopped this part may be the failure of another.
    throw_failure();
    throw;
  }
}

void ObjectWriter::put_part_aside(const storage::Part& part, AlignedBuffer full) {
  {
    std::lock_guard lock(mutex_);
    ++parts_under_way_;
  }
  const auto buffer = std::make_shared<AlignedBuffer>(std::move(full));
  pool_->submit([this, part, buffer]() noexcept {
    std::exception_ptr failure;
    try {
      put_part(part, buffer->span().first(part.bytes));
    } catch (...) {
      failure = std::current_exception();
    }
    pool_->give_back(std::move(*buffer));
    std::lock_guard lock(mutex_);
    if (failure && !failure_) {
      failure_ = failure;
      stop_.request_stop();
    }
    --parts_under_way_;
    part_ended_.notify_all();
  });
}

void ObjectWriter::await_parts() {
  std::unique_lock lock(mutex_);
  part_ended_.wait(lock, [this] { return parts_under_way_ == 0; });
}

void ObjectWriter::throw_failure() {
  std::lock_guard lock(mutex_);
  if (failure_) std::rethrow_exception(failure_);
}

void ObjectWriter::give_back_buffer() {
  if (pool_ && buffer_.size() > 0) pool_->give_back(std::move(buffer_));
  buffer_ = AlignedBuffer();
}

Stored ObjectWriter::commit() {
  storage::PutResult result;
  if (upload_) {
    if (filled_ > 0) put_part_here(end_part());
    await_parts();
    throw_failure();
    std::ranges::sort(parts_, {}, &storage::Part::number);
    result = store_->complete(*upload_, parts_, stop_.get_token());
    upload_.reset();
  } else {
    const Bytes data = buffer_.span().first(filled_);
    digester_.update(data);
    result = store_->put(key_, data, options_, stop_.get_token());
  }
  give_back_buffer();
  return {std::move(result.object), result.created, digester_.value()};
}

EncodedObjectWriter::EncodedObjectWriter(const Repository& repository, std::string_view name,
                                         storage::PutOptions options, codec::ObjectContext context,
                                         std::stop_token stop)
    : object_(repository, with_suffix(name, *repository.codec), std::move(options), context.size_hint, std::move(stop)),
      cipher_(repository.crypter ? repository.crypter->encrypt(context.key, object_) : nullptr),
      encoder_(repository.codec->encode(context, repository.level, cipher_ ? static_cast<Sink&>(*cipher_) : object_)) {}

Stored EncodedObjectWriter::commit() {
  encoder_->finish();
  if (cipher_) cipher_->finish();
  return object_.commit();
}

}  // namespace seawall::pipeline
