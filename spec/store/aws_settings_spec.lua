-- SPDX-License-Identifier: MIT
-- The settings of an S3 store come from the variables and files of the AWS tools.

local aws_settings = require "omni.store.aws_settings"
local env = require "helper.env"

local getenv <const> = os.getenv

describe("the settings of an S3 store", function()
  local folder, variables
  before_each(function()
    folder = env.directory()
    env.output(("mkdir %s/.aws"):format(env.quote(folder.path)))
    variables = { HOME = folder.path }
    os.getenv = function(name) return variables[name] end -- luacheck: ignore 122
  end)
  after_each(function()
    os.getenv = getenv -- luacheck: ignore 122
    folder:close()
  end)

  local function write(name, text, mode)
    local path = folder:file(name)
    env.write(path, text)
    env.output(("chmod %s %s"):format(mode or "600", env.quote(path)))
    return path
  end

  local function found() return assert(aws_settings.find()) end

  local function refused(pattern)
    local none, problem = aws_settings.find()
    assert.is_nil(none)
    assert.equal("store_failed", problem.code)
    assert.matches(pattern, problem.message)
    assert.is_nil(tostring(problem):find("hush", 1, true))
    return problem
  end

  it("come from the environment", function()
    variables.AWS_ACCESS_KEY_ID, variables.AWS_SECRET_ACCESS_KEY = "AKID", "hush"
    local plain = found()
    assert.same({ "AKID", "hush", nil, "us-east-1", "https://s3.us-east-1.amazonaws.com", "AWS_ACCESS_KEY_ID" },
      { plain.access_key, plain.secret_key, plain.token, plain.region, plain.endpoint, plain.from })
    variables.AWS_SESSION_TOKEN, variables.AWS_REGION, variables.AWS_ENDPOINT_URL = "token", "cn-north-1", "http://Minio.example:9000/"
    assert.same({ "token", "cn-north-1", "http://minio.example:9000" }, { found().token, found().region, found().endpoint })
    variables.AWS_ENDPOINT_URL_S3 = "https://other.example"
    assert.equal("https://other.example", found().endpoint)
    variables.AWS_ENDPOINT_URL_S3, variables.AWS_ENDPOINT_URL = nil, nil
    assert.equal("https://s3.cn-north-1.amazonaws.com.cn", found().endpoint)
  end)

  it("come from a profile of the files", function()
    write(".aws/credentials", "# mine\n[default]\naws_access_key_id = ONE\naws_secret_access_key=hush1\n\n"
      .. "[work]\r\naws_access_key_id=TWO\r\naws_secret_access_key = hush=2/+\r\naws_session_token = hush3\r\n")
    write(".aws/config", "[default]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n[profile work]\nregion=eu-west-2\n"
      .. "endpoint_url = http://127.0.0.1:9000\n", "644")
    assert.same({ "ONE", "hush1", nil, "eu-west-1" }, { found().access_key, found().secret_key, found().token, found().region })
    variables.AWS_PROFILE = "work"
    assert.same({ "TWO", "hush=2/+", "hush3", "eu-west-2", "http://127.0.0.1:9000" },
      { found().access_key, found().secret_key, found().token, found().region, found().endpoint })
    write(".aws/credentials", "[work]\naws_access_key_id = TWO\naws_secret_access_key = hush2\nregion = eu-west-3\n"
      .. "endpoint_url = http://127.0.0.1:9001\n")
    assert.same({ "eu-west-3", "http://127.0.0.1:9001" }, { found().region, found().endpoint })
    write(".aws/credentials", "")
    variables.AWS_ACCESS_KEY_ID, variables.AWS_SECRET_ACCESS_KEY = "ENV", "hush"
    assert.same({ "ENV", nil, "eu-west-2" }, { found().access_key, found().token, found().region })
    variables.AWS_PROFILE = "nobody"
    refused "there is no profile nobody"
  end)

  it("come from files with other names, and from the config file alone", function()
    variables.AWS_SHARED_CREDENTIALS_FILE = write("mine", "[default]\naws_access_key_id = ONE\naws_secret_access_key = hush\n")
    assert.same({ "ONE", variables.AWS_SHARED_CREDENTIALS_FILE }, { found().access_key, found().from })
    variables.AWS_SHARED_CREDENTIALS_FILE = "/dev/null"
    variables.AWS_CONFIG_FILE = write("config", "[default]\naws_access_key_id = TWO\naws_secret_access_key = hush\n")
    assert.equal("TWO", found().access_key)
  end)

  it("aren't read from a file that other users can read", function()
    write(".aws/credentials", "[default]\naws_access_key_id = ONE\naws_secret_access_key = hush\n", "640")
    local problem = refused "other users .* can read .*/.aws/credentials"
    assert.matches("^run chmod 600 .*/.aws/credentials, and replace the access key", problem.hint)
    write(".aws/credentials", "[default]\nregion = x\n", "644")
    write(".aws/config", "[default]\naws_access_key_id = TWO\naws_secret_access_key = hush\n", "644")
    refused "other users .* can read .*/.aws/config"
  end)

  it("that are missing or malformed give an error that says what to do, without a secret", function()
    assert.matches("aws configure", refused("there is no access key").hint)
    variables.AWS_ACCESS_KEY_ID, variables.AWS_SECRET_ACCESS_KEY = "AKID", "hush\nhush"
    refused "the secret key of the store, from AWS_ACCESS_KEY_ID, has characters"
    variables.AWS_SECRET_ACCESS_KEY, variables.AWS_REGION = "hush", "eu:west"
    refused "region"
    variables.AWS_REGION, variables.AWS_ENDPOINT_URL = nil, "ftp://host"
    refused "endpoint %(AWS_ENDPOINT_URL%)"
  end)
end)
